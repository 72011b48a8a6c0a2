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

// DescribeKey tells of one CMK.
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

// DescribeKeys tells of several CMKs, at most 100. The first failure is returned.
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

// maxKeys is how many CMKs one call names.
const maxKeys = 100

func checkKeys(keys []string) error {
	if len(keys) > maxKeys {
		return invalid("%d keys, the limit is %d", len(keys), maxKeys)
	}
	return nil
}

// KeyFilter chooses CMKs; zero fields choose all.
type KeyFilter struct {
	State KeyState
	Usage KeyUsage
	Spec  KeySpec
	// Origin says where the material came from.
	Origin Origin
	// Driver is the name of the driver that has the CMK's primary version.
	Driver string
	// Alias is a prefix.
	Alias string
	// Tags must all be there.
	Tags map[string]string
}

// matches reports whether the filter chooses k.
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

// ListKeys yields the CMKs that the filter chooses, ordered by id, but for those that the
// caller may not describe: the Authorizer is asked for DescribeKey on each, as DescribeKey
// does, and what it denies is left out. The listing is one operation and one record, which
// says how many were yielded and how many left out. An error is yielded once and ends it.
// Errors: ErrDenied, also where the Authorizer fails for one of the CMKs; ErrInvalid for a
// filter with tags that no CMK has.
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

// list returns the CMKs that the filter chooses and the caller may describe, and how many
// it may not.
func (c Client) list(ctx context.Context, f KeyFilter) (out []Key, withheld int, err error) {
	v := c.vault
	for _, path := range v.store.Paths("key/") {
		t, err := v.keys.key(ctx, strings.TrimPrefix(path, "key/"))
		if errors.Is(err, ErrNotFound) {
			continue // its creation was taken back
		}
		if err != nil {
			return nil, 0, err
		}
		v.expireView(t)
		if !f.matches(t.Key) {
			continue
		}
		var decision audit.Record // the listing's record says how many, and not why
		err = c.allowed(ctx, c.asks(request{op: OpDescribeKey, key: t.ID}, t), &decision)
		switch {
		case err == nil:
			out = append(out, t.copy())
		case errors.Is(err, errAuthorizer):
			return nil, 0, err // a listing without the keys would say that they are gone
		default:
			withheld++
		}
	}
	return out, withheld, nil
}

// ListKeyVersions tells of all versions of a CMK, the oldest first.
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
