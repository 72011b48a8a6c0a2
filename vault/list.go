package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"strongroom.example/driver"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/cursor"
	"strongroom.example/vault/internal/inputtext"
	"strongroom.example/vault/internal/retry"
)

// DescribeKey returns the description of one CMK.
func (c Client) DescribeKey(ctx context.Context, key string) (Key, error) {
	return useKey(ctx, c, request{op: OpDescribeKey, key: key}, func(ctx context.Context, d *decision) (Key, error) {
		return c.vault.described(ctx, d.t)
	}, nil)
}

// ListKeyVersions returns the descriptions of all versions of a CMK, the oldest first.
func (c Client) ListKeyVersions(ctx context.Context, key string) ([]KeyVersion, error) {
	return useKey(ctx, c, request{op: OpListKeyVersions, key: key}, func(ctx context.Context, d *decision) (out []KeyVersion, err error) {
		for n := uint32(1); n <= d.t.Version && d.t.State != Creating; n++ {
			ver, err := c.vault.records.version(ctx, d.t.ID, n)
			if err != nil {
				return nil, err
			}
			ver.Attributes, ver.Uses = maps.Clone(ver.Attributes), c.vault.usesOf(ver)
			out = append(out, ver.KeyVersion)
		}
		return out, nil
	}, nil)
}

// KeyFilter selects CMKs. A zero field selects all.
type KeyFilter struct {
	State KeyState
	Usage KeyUsage
	Spec  KeySpec
	// Origin is the source of the material.
	Origin Origin
	// Driver is the name of the driver that has the CMK's primary version.
	Driver string
	// Alias is a prefix of one of the aliases.
	Alias string
	// Tags must all be present with these values.
	Tags map[string]string
}

// matches reports whether the filter selects k.
func (f KeyFilter) matches(k Key) bool {
	for name, value := range f.Tags {
		if got, ok := k.Tags[name]; !ok || got != value {
			return false
		}
	}
	return (f.State == "" || f.State == k.State) && (f.Usage == "" || f.Usage == k.Usage) &&
		(f.Spec == "" || f.Spec == k.Spec) && (f.Origin == "" || f.Origin == k.Origin) &&
		(f.Driver == "" || f.Driver == k.Driver) && k.hasAliasWith(f.Alias)
}

// ListKeys returns an iterator over the CMKs that match f, ordered by id. It omits the CMKs
// that the caller may not describe: it asks the Authorizer for DescribeKey on each of them.
// The listing is one operation with one audit record, which has the numbers of CMKs listed
// and omitted. An error is yielded once and ends the iteration. Errors: ErrDenied, also if
// the Authorizer fails for one of the CMKs; ErrInvalid for tags that no CMK can have.
func (c Client) ListKeys(ctx context.Context, f KeyFilter) iter.Seq2[Key, error] {
	tags, err := inputtext.CopyTags(f.Tags)
	if f.Tags = tags; err != nil {
		return func(yield func(Key, error) bool) { yield(Key{}, c.argumentError(ctx, request{op: OpListKeys}, err)) }
	}
	return func(yield func(Key, error) bool) {
		all, err := useVault(ctx, c, request{op: OpListKeys}, func(ctx context.Context, d *decision) ([]Key, error) {
			d.nested = true
			l := keyListing{client: c, filter: f}
			_, err := l.read(ctx, "", math.MaxInt, math.MaxInt)
			d.rec.Detail = l.detail()
			return l.found, err
		}, nil)
		if err != nil {
			yield(Key{}, err)
			return
		}
		for _, k := range all {
			if !yield(k, nil) {
				return
			}
		}
	}
}

// A keyListing lists the CMKs that match a filter and that the caller may describe.
type keyListing struct {
	client   Client
	filter   KeyFilter
	found    []Key
	withheld int // the number of CMKs that match and that the caller may not describe
}

// read reads from behind the id after on, until it has found limit CMKs or read examine
// records, and returns the id behind which the listing continues, or "" if it is complete.
func (l *keyListing) read(ctx context.Context, after string, limit, examine int) (next string, err error) {
	v := l.client.vault
	l.found = slices.Grow(l.found, min(limit, listedAtOnce))
	return listing[*target]{
		folder: keyFolder, after: after, limit: limit, examine: examine,
		load: func(path string) (*target, error) { return v.records.peek(ctx, path) },
		take: func(t *target) (bool, error) { return l.take(ctx, t) },
	}.run(v.store)
}

// take adds a CMK from peek to the listing, unless it does not match or is withheld.
func (l *keyListing) take(ctx context.Context, t *target) (bool, error) {
	if l.client.vault.applyExpiry(t); !l.filter.matches(t.Key) {
		return false, nil
	}
	var one decision // discarded: the record of the listing has only the number
	err := l.client.authorize(ctx, l.client.authorizerRequest(request{op: OpDescribeKey, key: t.ID}, t), &one)
	switch {
	case err == nil:
		l.found = append(l.found, t.Key)
		return true, nil
	case errors.Is(err, errAuthorizer):
		return false, err // a listing without these keys would suggest that they do not exist
	}
	l.withheld++
	return false, nil
}

// detail returns the detail of the listing's audit record.
func (l *keyListing) detail() map[string]string { return listDetail("keys", len(l.found), l.withheld) }

// listDetail returns the detail of the record of a listing.
func listDetail(what string, listed, withheld int) map[string]string {
	detail := map[string]string{what: strconv.Itoa(listed)}
	if withheld > 0 {
		detail["withheld"] = strconv.Itoa(withheld)
	}
	return detail
}

const (
	// DefaultPage is the number of entries in a page whose PageRequest names no limit.
	DefaultPage = 100
	// MaxPage is the maximum of PageRequest.Limit.
	MaxPage = 1000
	// maxExamined bounds the work for one page: a page ends when so many entries were read,
	// also if few of them match.
	maxExamined = 1000
)

// A PageRequest says which page of a list is wanted.
type PageRequest struct {
	// Limit is the maximum number of entries, up to MaxPage. 0 means DefaultPage.
	Limit int
	// Token is the Next of the page before. Empty means the first page. A token does not
	// expire. It is valid for the principal and the filter that it was made for, with any
	// Limit.
	Token string
}

// KeyPage is a page of a list of CMKs.
type KeyPage struct {
	Keys []Key
	// Next is the token of the next page. It is empty if this is the last page.
	Next string
}

// ListKeysPage returns a page of the CMKs that ListKeys yields for f, in the same order, which
// does not change: by id. A CMK that exists during the whole listing is in exactly one page if
// it matches f during that time; others may be missing.
//
// A page may have fewer CMKs than the limit, or none, although Next is not empty, because the
// vault reads at most 1000 CMKs for a page. Each page is one operation with one audit record.
// Errors: those of ListKeys; ErrInvalid for the limit; ErrToken.
func (c Client) ListKeysPage(ctx context.Context, f KeyFilter, p PageRequest) (KeyPage, error) {
	q := request{op: OpListKeys}
	tags, err := inputtext.CopyTags(f.Tags)
	if f.Tags = tags; err != nil {
		return KeyPage{}, c.argumentError(ctx, q, err)
	}
	scope := c.listScope(q.op, f)
	return useVault(ctx, c, q, func(ctx context.Context, d *decision) (KeyPage, error) {
		after, err := c.pageStart(scope, &p)
		if err != nil {
			return KeyPage{}, err
		}
		d.nested = true
		l := keyListing{client: c, filter: f}
		next, err := l.read(ctx, after, p.Limit, maxExamined)
		d.rec.Detail = l.detail()
		return KeyPage{l.found, c.pageToken(scope, next)}, err
	}, nil)
}

// listScope returns what a page token is bound to: the list with its filter, and the
// principal.
func (c Client) listScope(op Operation, filter any) []byte {
	b, err := json.Marshal([]any{op, c.principal, filter})
	if err != nil {
		panic("strongroom: filter cannot be encoded: " + err.Error())
	}
	return b
}

// pageStart checks a PageRequest, fills in the default limit and returns the entry behind
// which the page begins. The caller is in an operation, because the vault's keys are wiped
// after Close.
func (c Client) pageStart(scope []byte, p *PageRequest) (after string, err error) {
	if p.Limit < 0 || p.Limit > MaxPage {
		return "", invalid("a page has 1 to %d entries, not %d", MaxPage, p.Limit)
	}
	if p.Limit == 0 {
		p.Limit = DefaultPage
	}
	if p.Token == "" {
		return "", nil
	}
	position, err := cursor.Open(c.vault.cursorMAC, scope, p.Token)
	if err != nil {
		return "", fmt.Errorf("%w: it was not made for this principal and filter; list from the first page on", ErrToken)
	}
	return string(position), nil
}

// pageToken returns the token of the page behind the entry next, or "" if next is empty.
func (c Client) pageToken(scope []byte, next string) string {
	if next == "" {
		return ""
	}
	return cursor.Seal(c.vault.cursorMAC, scope, []byte(next))
}

// cursorMAC is the MAC of page and resume tokens.
func (v *Vault) cursorMAC(parts ...[]byte) [32]byte {
	return v.suite.MAC(v.secrets.Cursor(), append([][]byte{v.id[:]}, parts...)...)
}

// A listing reads the records of a folder in the order of their ids.
type listing[T any] struct {
	folder string
	after  string // the id behind which it begins
	// limit is how many entries are to be taken, and examine how many are read at most.
	limit, examine int
	load           func(path string) (T, error)
	// take reports whether it took the entry.
	take func(T) (bool, error)
}

// listedAtOnce is how many records a listing reads before it passes them to take.
const listedAtOnce = 256

// run reads until the limit is reached or no record is left. It returns the id behind which
// the listing continues, or "" if none is left. It leaves out a record that is removed
// meanwhile.
func (l listing[T]) run(s *keystore.Store) (next string, err error) {
	at := l.folder + l.after
	for taken, examined := 0, 0; examined < l.examine && taken < l.limit; {
		paths := s.PathsAfter(l.folder, at, min(listedAtOnce, l.limit-taken, l.examine-examined))
		if len(paths) == 0 {
			return "", nil
		}
		entries, errs := l.loadAll(paths)
		for i, entry := range entries {
			if errors.Is(errs[i], ErrNotFound) {
				continue
			}
			yes, err := false, errs[i]
			if err == nil {
				yes, err = l.take(entry)
			}
			if err != nil {
				return "", err
			}
			if yes {
				taken++
			}
		}
		at, examined = paths[len(paths)-1], examined+len(paths)
	}
	if s.PathsAfter(l.folder, at, 1) == nil {
		return "", nil
	}
	return at[len(l.folder):], nil
}

// loadAll loads the records of paths. All cores take part, because opening and decoding
// the records is most of the time of a listing. Each takes a few at a time, so that a core
// that is busy otherwise does not delay the others. The caller only waits, because another core
// takes a goroutine 50 µs later if it is the one that this core would run next.
func (l listing[T]) loadAll(paths []string) (entries []T, errs []error) {
	const share = 2
	entries, errs = make([]T, len(paths)), make([]error, len(paths))
	var next atomic.Int64
	load := func() {
		for {
			to := int(next.Add(share))
			if to-share >= len(paths) {
				return
			}
			for i := to - share; i < min(to, len(paths)); i++ {
				entries[i], errs[i] = l.load(paths[i])
			}
		}
	}
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), (len(paths)+share-1)/share) {
		wg.Go(load)
	}
	wg.Wait()
	return entries, errs
}

// Orphans returns the ids of the key material in a driver's device that no record of this
// vault names, in ascending order. Such material is left when a vault's directory is
// removed or an old copy of it is put back. On a PKCS #11 token the id is CKA_ID.
//
// The vault does not destroy orphans, because it cannot determine which vault made them:
// the list also has the keys of other vaults that use the same device.
//
// Errors:
//   - ErrInvalid: Config.Drivers has no driver of that name.
//   - ErrUnsupported: the driver cannot list its keys.
//   - ErrDenied, ErrUnavailable, ErrThrottled.
func (c Client) Orphans(ctx context.Context, driverName string) ([]driver.MaterialID, error) {
	q := request{op: OpListOrphans, driver: driverName}
	return useVault(ctx, c, q, func(ctx context.Context, d *decision) ([]driver.MaterialID, error) {
		source, ok := c.vault.drivers[driverName]
		if !ok {
			return nil, invalid("driver %.80q is not among Config.Drivers", driverName)
		}
		d.rec.Driver = driverName
		lister, ok := source.(driver.Lister)
		if !ok || !source.Info().Lister {
			return nil, fmt.Errorf("%w: driver %q cannot list its keys", ErrUnsupported, driverName)
		}
		out, err := c.vault.orphans(ctx, lister)
		d.rec.Detail = map[string]string{"orphans": strconv.Itoa(len(out))}
		return out, err
	}, nil)
}

// orphans returns the material that a driver lists and no record names.
func (v *Vault) orphans(ctx context.Context, lister driver.Lister) ([]driver.MaterialID, error) {
	found, err := listMaterial(ctx, lister)
	if err != nil {
		return nil, err
	}
	out := slices.DeleteFunc(found, v.namesMaterial)
	if len(out) > 0 {
		// An operation that ended in the meantime destroyed material before its record.
		still, err := listMaterial(ctx, lister)
		if err != nil {
			return nil, err
		}
		gone := func(id driver.MaterialID) bool { return !slices.Contains(still, id) }
		out = slices.DeleteFunc(out, gone)
	}
	slices.SortFunc(out, func(a, b driver.MaterialID) int { return slices.Compare(a[:], b[:]) })
	return out, nil
}

func listMaterial(ctx context.Context, l driver.Lister) (ids []driver.MaterialID, err error) {
	err = retry.Do(ctx, awayLimit, retryVerdict, func(ctx context.Context) error {
		ids = nil
		for id, err := range l.ListKeys(ctx) {
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return nil
	})
	return ids, err
}

// namesMaterial reports whether a record names the material. It looks for the intent first:
// an operation that succeeds replaces its intent by the material's record in one commit.
func (v *Vault) namesMaterial(id driver.MaterialID) bool {
	return v.store.Version(intentPath(id)) != 0 || v.store.Version(materialPath(id)) != 0
}
