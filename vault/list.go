package vault

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"strongroom.example/audit"
)

// DescribeKey returns the description of one CMK.
func (c Client) DescribeKey(ctx context.Context, key string) (Key, error) {
	var k Key
	err := c.onKey(ctx, request{op: OpDescribeKey, key: key}, func(_ context.Context, t *target, _ *entry) error {
		k = t.copy()
		return nil
	})
	if err != nil {
		return Key{}, err
	}
	return k, nil
}

// DescribeKeys returns the descriptions of at most 100 CMKs. It returns the first error.
// Errors: those of DescribeKey, and ErrInvalid for more than 100 keys.
func (c Client) DescribeKeys(ctx context.Context, keys ...string) ([]Key, error) {
	if err := orElse(c.known(), checkKeys(keys)); err != nil {
		return nil, c.reject(ctx, request{op: OpDescribeKey}, err)
	}
	var out []Key
	for _, key := range slices.Clone(keys) {
		k, err := c.DescribeKey(ctx, key)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

// maxKeys is the maximum number of CMKs in one call.
const maxKeys = 100

func checkKeys(keys []string) error {
	if len(keys) > maxKeys {
		return invalid("%d keys, the limit is %d", len(keys), maxKeys)
	}
	return nil
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
	// Alias is a prefix of the alias.
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
		(f.Driver == "" || f.Driver == k.Driver) && strings.HasPrefix(k.Alias, f.Alias)
}

// ListKeys returns an iterator over the CMKs that match f, ordered by id. It omits the CMKs
// that the caller may not describe: it asks the Authorizer for DescribeKey on each of them.
// The listing is one operation with one audit record, which has the numbers of CMKs listed
// and omitted. An error is yielded once and ends the iteration. Errors: ErrDenied, also if
// the Authorizer fails for one of the CMKs; ErrInvalid for tags that no CMK can have.
func (c Client) ListKeys(ctx context.Context, f KeyFilter) iter.Seq2[Key, error] {
	tags, err := ownTags(f.Tags)
	if f.Tags = tags; err != nil {
		return func(yield func(Key, error) bool) { yield(Key{}, c.reject(ctx, request{op: OpListKeys}, err)) }
	}
	return func(yield func(Key, error) bool) {
		var keys []Key
		err := c.onVault(ctx, request{op: OpListKeys}, func(ctx context.Context, e *entry) (err error) {
			var withheld int
			keys, withheld, err = c.list(ctx, f)
			e.rec.Detail = map[string]string{"keys": strconv.Itoa(len(keys))}
			if withheld > 0 {
				e.rec.Detail["withheld"] = strconv.Itoa(withheld)
			}
			return err
		})
		if err != nil {
			yield(Key{}, err)
			return
		}
		for _, k := range keys {
			if !yield(k, nil) {
				return
			}
		}
	}
}

// list returns the CMKs that match f and that the caller may describe, and the number of
// those that match but are withheld.
func (c Client) list(ctx context.Context, f KeyFilter) (out []Key, withheld int, err error) {
	v := c.vault
	for _, path := range v.store.Paths("key/") {
		t, err := v.keys.key(ctx, strings.TrimPrefix(path, "key/"))
		if errors.Is(err, ErrNotFound) {
			continue // its creation was rolled back
		}
		if err != nil {
			return nil, 0, err
		}
		v.expireView(t)
		if !f.matches(t.Key) {
			continue
		}
		var decision audit.Record // discarded: the record of the listing has only the number
		err = c.allowed(ctx, c.asks(request{op: OpDescribeKey, key: t.ID}, t), &decision)
		switch {
		case err == nil:
			out = append(out, t.copy())
		case errors.Is(err, errAuthorizer):
			return nil, 0, err // a listing without these keys would suggest that they do not exist
		default:
			withheld++
		}
	}
	return out, withheld, nil
}

// ListKeyVersions returns the descriptions of all versions of a CMK, the oldest first.
func (c Client) ListKeyVersions(ctx context.Context, key string) ([]KeyVersion, error) {
	var out []KeyVersion
	err := c.onKey(ctx, request{op: OpListKeyVersions, key: key}, func(ctx context.Context, t *target, _ *entry) error {
		out = nil
		for n := uint32(1); n <= t.Version && t.State != Creating; n++ {
			ver, err := c.vault.keys.version(ctx, t.ID, n)
			if err != nil {
				return err
			}
			ver.Attributes = maps.Clone(ver.Attributes)
			out = append(out, ver.KeyVersion)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
