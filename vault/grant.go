package vault

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"strongroom.example/audit"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/inputtext"
	"strongroom.example/vault/internal/record"
)

// A Grant limits the operations of a Client; see Client.Narrow. A zero field limits nothing.
type Grant struct {
	// Keys are the CMKs, by id or alias; the vault stores their ids. Operations on the whole
	// vault are not allowed if it is set.
	Keys []string `json:"keys,omitempty"`
	// Operations are the operations. CreateGrant is always allowed.
	Operations []Operation `json:"operations,omitempty"`
	// Context are pairs that the encryption context must contain.
	Context EncryptionContext `json:"context,omitempty"`
	// Uses is the number of operations that may succeed.
	Uses uint64 `json:"uses,omitempty"`
	// Until is the time at which the grant ends.
	Until time.Time `json:"until,omitzero"`

	// ID, Parent, Principal, Created and Used are set by the vault. Parent is the grant of the
	// Client that was narrowed, and Principal its principal. Used is the number of operations
	// that succeeded; it is counted only if Uses is set.
	ID        string    `json:"id"`
	Parent    string    `json:"parent,omitempty"`
	Principal Principal `json:"principal"`
	Created   time.Time `json:"created"`
	Used      uint64    `json:"-"`
}

const (
	// maxGrants is the maximum number of grants in a vault, and maxGrantsEach that of one
	// principal, so that none keeps the others from narrowing their clients.
	maxGrants     = 4096
	maxGrantsEach = 3072
	grants        = "grant/"
	grantUses     = "grant-uses/"
)

func grantPath(id string) string     { return grants + id }
func grantUsesPath(id string) string { return grantUses + id }

// Narrow stores a grant and returns a client that acts for the same principal within it. The
// grant, every grant that c itself has, and the Authorizer at the time of the operation must
// allow each operation of the client. A narrowed client can be narrowed further. It ends
// when its grant or one of the grants above is revoked, used up or past its time.
//
// A use is counted in the commit of its audit record: no more operations than Uses ever
// succeed, and none is recorded after RevokeGrant returned. An operation that works with a
// device between two commits is counted, and checked, at the first. If the vault repeats it,
// because the CMK changed meanwhile, it is not counted again. The Rule of each record names
// the grant.
//
// A grant survives a restart; WithGrant returns its client again. Restore brings back the
// grants and the numbers of uses of the backup. Errors: ErrInvalid, also
// for more than 100 keys; ErrNotFound for an alias; ErrTooLarge for more than 3072 grants of
// the principal or 4096 in the vault; ErrDenied, also for an alias of a CMK that the principal may not describe.
func (c Client) Narrow(ctx context.Context, g Grant) (Client, Grant, error) {
	q := request{op: OpCreateGrant, onVault: true}
	g, err := c.newGrant(g)
	if err != nil {
		return Client{}, Grant{}, c.argumentError(ctx, q, err)
	}
	narrowed, err := operate(ctx, c, q, func(ctx context.Context, d *decision) (Client, error) {
		d.nested = true
		resolved, err := c.resolveKeys(ctx, g.Keys)
		if err != nil {
			return Client{}, d.fail(ctx, err)
		}
		g.Keys = resolved
		d.rec.Detail = g.detail()
		return Client{c.vault, c.principal, g.ID}, d.commit(ctx, commitPlan{check: unchanged, change: func(tx *keystore.Tx) error {
			if err := c.vault.makeRoomForGrant(tx, g.Principal); err != nil {
				return err
			}
			tx.Put(grantPath(g.ID), encode(g))
			return nil
		}})
	}, nil)
	if err != nil {
		return Client{}, Grant{}, err
	}
	return narrowed, g, nil
}

// newGrant checks and copies a grant, and sets the fields that the vault sets.
func (c Client) newGrant(g Grant) (Grant, error) {
	if err := cmp.Or(c.checkPrincipal(), checkKeys(g.Keys)); err != nil {
		return g, err
	}
	for _, op := range g.Operations {
		if !op.grantable() {
			return g, invalid("Grant.Operations: %.80q is not an operation of a principal", op)
		}
	}
	bound, err := g.Context.snapshot()
	if err != nil {
		return g, err
	}
	var id [16]byte
	rand.Read(id[:])
	g.ID, g.Parent, g.Principal, g.Created, g.Used = hex.EncodeToString(id[:]), c.grant, c.principal, c.vault.clock.Now().UTC(), 0
	g.Keys, g.Operations, g.Context = slices.Clone(g.Keys), slices.Compact(slices.Sorted(slices.Values(g.Operations))), bound.pairs
	g.Until = g.Until.UTC()
	return g, nil
}

// resolveKeys replaces aliases by ids.
func (c Client) resolveKeys(ctx context.Context, keys []string) ([]string, error) {
	keys = slices.Clone(keys)
	for i, key := range keys {
		q := request{op: OpDescribeKey, key: key}
		if id, _ := q.name(); id != "" {
			continue
		}
		t, err := c.vault.load(ctx, key)
		var one decision // discarded: the record of the grant has the error
		if denied := c.authorize(ctx, c.authorizerRequest(q, t), &one); denied != nil {
			return nil, denied
		}
		if err != nil {
			return nil, err
		}
		keys[i] = t.ID
	}
	return keys, nil
}

// detail returns the detail of the record of a new grant.
func (g Grant) detail() map[string]string {
	out := map[string]string{"grant": g.ID}
	if g.Parent != "" {
		out["parent"] = g.Parent
	}
	if len(g.Keys) > 0 {
		out["keys"] = strings.Join(g.Keys, ", ")
	}
	if len(g.Operations) > 0 {
		out["operations"] = fmt.Sprint(g.Operations)
	}
	if g.Uses > 0 {
		out["uses"] = strconv.FormatUint(g.Uses, 10)
	}
	if !g.Until.IsZero() {
		out["until"] = g.Until.Format(time.RFC3339)
	}
	return out
}

// WithGrant returns the client of a grant that Narrow made, for example before a restart.
// Errors: ErrNotFound for a grant that has ended, that is not of the client's principal, or
// that is not below the grant of a narrowed client; ErrDenied.
func (c Client) WithGrant(ctx context.Context, id string) (Client, error) {
	return useVault(ctx, c, request{op: OpUseGrant}, func(ctx context.Context, d *decision) (Client, error) {
		if g, err := c.vault.liveGrant(storeReader{c.vault.store, ctx}, id, c.vault.deadline.Now()); errors.Is(err, errNoGrant) || err == nil && g.ID == "" {
			return Client{}, fmt.Errorf("%w: grant %.80q", ErrNotFound, id)
		} else if err != nil {
			return Client{}, err
		}
		below := c.grant == ""
		for g, err := range c.vault.grantChain(storeReader{c.vault.store, ctx}, id) {
			if err != nil || g.Principal != c.principal {
				return Client{}, fmt.Errorf("%w: grant %.80q", ErrNotFound, id)
			}
			below = below || g.ID == c.grant
		}
		if !below {
			return Client{}, fmt.Errorf("%w: grant %.80q below that of the client", ErrNotFound, id)
		}
		d.rec.Detail = map[string]string{"grant": id}
		return Client{c.vault, c.principal, id}, nil
	}, nil)
}

// ListGrants returns the grants of all principals that have not ended.
func (c Client) ListGrants(ctx context.Context) ([]Grant, error) {
	return useVault(ctx, c, request{op: OpListGrants}, func(ctx context.Context, _ *decision) (out []Grant, err error) {
		v, from := c.vault, storeReader{c.vault.store, ctx}
		for _, path := range from.Paths(grants) {
			id := strings.TrimPrefix(path, grants)
			g, err := v.liveGrant(from, id, v.deadline.Now())
			if errors.Is(err, errNoGrant) {
				continue
			}
			if err != nil {
				return nil, err
			}
			g.Keys, g.Operations = slices.Clone(g.Keys), slices.Clone(g.Operations)
			g.Context = maps.Clone(g.Context)
			out = append(out, g)
		}
		return out, nil
	}, nil)
}

// RevokeGrant ends a grant and all grants below it. No use of them is recorded after it
// returned. Errors: ErrNotFound, ErrDenied.
func (c Client) RevokeGrant(ctx context.Context, id string) error {
	return c.do(ctx, request{op: OpRevokeGrant, onVault: true}, func(ctx context.Context, d *decision) error {
		d.rec.Detail = map[string]string{"grant": inputtext.Quote(id)}
		return d.commit(ctx, commitPlan{check: unchanged, change: func(tx *keystore.Tx) error {
			if tx.Version(grantPath(id)) == 0 {
				return fmt.Errorf("%w: grant %.80q", ErrNotFound, id)
			}
			for _, one := range append(c.vault.grantsBelow(tx, id), id) {
				deleteGrant(tx, one)
			}
			return nil
		}})
	})
}

// grantsBelow returns the grants below a grant.
func (v *Vault) grantsBelow(r reader, id string) (all []string) {
	for _, path := range r.Paths(grants) {
		one := strings.TrimPrefix(path, grants)
		for g, err := range v.grantChain(r, one) {
			if err == nil && g.Parent == id {
				all = append(all, one)
			}
		}
	}
	return all
}

func deleteGrant(tx *keystore.Tx, id string) {
	tx.Delete(grantPath(id))
	tx.Delete(grantUsesPath(id))
}

// makeRoomForGrant removes the grants that have ended, if there are so many that another one of
// the principal may not fit. It returns ErrTooLarge if it does not.
func (v *Vault) makeRoomForGrant(tx *keystore.Tx, p Principal) error {
	if len(tx.Paths(grants)) < maxGrantsEach {
		return nil
	}
	v.removeEndedGrants(tx, v.confirmedNow())
	all, own := tx.Paths(grants), 0
	for _, path := range all {
		if g, err := v.grant(tx, strings.TrimPrefix(path, grants)); err == nil && g.Principal == p {
			own++
		}
	}
	switch {
	case own >= maxGrantsEach:
		return fmt.Errorf("%w: the principal has %d grants; revoke some", ErrTooLarge, own)
	case len(all) >= maxGrants:
		return fmt.Errorf("%w: the vault has %d grants; revoke some", ErrTooLarge, len(all))
	}
	return nil
}

// removeEndedGrants removes the grants that have ended by a confirmed time. Others may be used
// again once a clock that is ahead is set right.
func (v *Vault) removeEndedGrants(tx *keystore.Tx, by time.Time) {
	for _, path := range tx.Paths(grants) {
		id := strings.TrimPrefix(path, grants)
		if _, err := v.liveGrant(tx, id, by); errors.Is(err, errNoGrant) {
			deleteGrant(tx, id)
		}
	}
}

// errNoGrant reports a grant that was revoked, has ended, or never was.
var errNoGrant = errors.New("the grant has ended")

// grant reads a grant.
func (v *Vault) grant(from reader, id string) (Grant, error) {
	path := grantPath(id)
	if from.Version(path) == 0 {
		return Grant{}, errNoGrant
	}
	if g, ok := v.grants.get(id); ok {
		return g, nil
	}
	g, err := record.Read[Grant](from, path)
	if errors.Is(err, keystore.ErrNotFound) {
		return Grant{}, errNoGrant
	}
	if err != nil {
		return Grant{}, err
	}
	v.grants.put(id, g)
	return g, nil
}

// grantChain returns the grant with the given id and those above it. It yields an error
// once, and ends.
func (v *Vault) grantChain(from reader, id string) iter.Seq2[Grant, error] {
	return func(yield func(Grant, error) bool) {
		for id != "" {
			g, err := v.grant(from, id)
			if !yield(g, err) || err != nil {
				return
			}
			id = g.Parent
		}
	}
}

// liveGrant returns a grant with its number of uses, or errNoGrant if it or one above it has
// ended by now.
func (v *Vault) liveGrant(from reader, id string, now time.Time) (first Grant, err error) {
	for g, err := range v.grantChain(from, id) {
		if err == nil {
			g.Used, err = usesIn(from, g)
		}
		if err != nil {
			return Grant{}, err
		}
		if g.ended(now) || g.Uses > 0 && g.Used >= g.Uses {
			return Grant{}, errNoGrant
		}
		if g.ID == id {
			first = g
		}
	}
	return first, nil
}

// ended reports whether the time of a grant has ended by now.
func (g Grant) ended(now time.Time) bool { return !g.Until.IsZero() && !now.Before(g.Until) }

// usesIn reads how often a grant was used; 0 if its uses are not counted.
func usesIn(r reader, g Grant) (uint64, error) {
	path := grantUsesPath(g.ID)
	if g.Uses == 0 || r.Version(path) == 0 {
		return 0, nil
	}
	n, err := record.ReadCount(r, path)
	if errors.Is(err, keystore.ErrNotFound) {
		return 0, errNoGrant // revoked since
	}
	return n, err
}

// grantAllows checks a request against the client's grants. The uses are not checked at the
// outcome of an operation, because they were counted with its intent, nor in the further
// attempts and parts of a call, because they were counted with the first. An outcome may also
// follow the end of a grant.
func (c Client) grantAllows(ctx context.Context, ask Request, d *decision) error {
	from, now := storeReader{c.vault.store, ctx}, c.vault.deadline.Now()
	if d.rec.Phase != audit.Outcome && !d.q.counted.use {
		if _, err := c.vault.liveGrant(from, c.grant, now); err != nil {
			return err
		}
	}
	for g, err := range c.vault.grantChain(from, c.grant) {
		if err == nil && d.rec.Phase != audit.Outcome && g.ended(now) {
			err = errNoGrant
		}
		if err != nil {
			return err
		}
		if what := g.excludes(ask); what != "" {
			return fmt.Errorf("the grant %s is not for %s", g.ID, what)
		}
	}
	return nil
}

// excludes returns what a grant does not allow of a request, or "".
func (g Grant) excludes(ask Request) string {
	if ask.Operation == OpCreateGrant || ask.Operation == OpUseGrant {
		return ""
	}
	if len(g.Operations) > 0 && !slices.Contains(g.Operations, ask.Operation) {
		return string(ask.Operation)
	}
	if len(g.Keys) > 0 && !slices.Contains(g.Keys, ask.Key) {
		return "this key"
	}
	for name, value := range g.Context {
		if got, ok := ask.Context[name]; !ok || got != value {
			return "this encryption context"
		}
	}
	return ""
}

// countUses returns the numbers of uses of the client's grants, by their paths, with the use by
// an operation that succeeds. It returns errConflict if a grant has ended since the decision:
// the next decision is then a refusal.
func (d *decision) countUses(tx reader) (counts map[string]uint64, err error) {
	c := d.client
	if !d.isUse() {
		return nil, nil
	}
	counts = map[string]uint64{}
	for id := c.grant; id != ""; {
		g, err := c.vault.grant(tx, id)
		if errors.Is(err, errNoGrant) || err == nil && g.ended(c.vault.deadline.Now()) {
			return nil, errConflict
		}
		if err != nil {
			return nil, err
		}
		id = g.Parent
		if g.Uses == 0 || d.q.counted.use || d.q.op == OpCreateGrant || d.q.op == OpUseGrant {
			continue
		}
		used, err := usesIn(tx, g)
		if err != nil {
			return nil, err
		}
		if used >= g.Uses {
			return nil, errConflict
		}
		counts[grantUsesPath(g.ID)] = used + 1
	}
	return counts, nil
}
