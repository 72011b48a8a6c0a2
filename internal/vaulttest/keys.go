package vaulttest

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"strongroom.example/vault"
)

// keys: a key is created, described, listed, given an alias and tags, disabled and
// enabled.
func keys(t *testing.T, s *subject) {
	ctx, c := t.Context(), s.shared.owner()
	tags := map[string]string{"check": "keys"}
	a := s.shared.create(t, vault.KeyOptions{Alias: "a", Description: "first", Tags: tags})
	b := s.shared.create(t, vault.KeyOptions{Alias: "b", Tags: tags})
	if err := errors.Join(c.SetAlias(ctx, "a", "c"), c.SetDescription(ctx, "c", "other"),
		c.TagKey(ctx, a.ID, map[string]string{"env": "live", "team": "x"}), c.UntagKey(ctx, a.ID, "team"),
		c.DeleteAlias(ctx, "b"), c.SetAlias(ctx, a.ID, "b"), c.DisableKeys(ctx, b.ID)); err != nil {
		t.Fatal(err)
	}
	want := a
	want.Alias, want.Description, want.Tags = "b", "other", map[string]string{"check": "keys", "env": "live"}
	for _, name := range []string{"b", a.ID} {
		if got, err := c.DescribeKey(ctx, name); err != nil || !equal(got, want) {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
	if got, err := c.DescribeKeys(ctx, a.ID, b.ID); err != nil || len(got) != 2 || got[1].State != vault.Disabled || got[1].Alias != "" {
		t.Errorf("DescribeKeys: %+v, %v, want both keys, the second Disabled and without an alias", got, err)
	}
	for name, row := range map[string]struct {
		filter vault.KeyFilter
		want   int
	}{
		"tag":      {vault.KeyFilter{Tags: tags}, 2},
		"two tags": {vault.KeyFilter{Tags: want.Tags}, 1},
		"alias":    {vault.KeyFilter{Tags: tags, Alias: "b"}, 1},
		"state":    {vault.KeyFilter{Tags: tags, State: vault.Disabled}, 1},
		"usage":    {vault.KeyFilter{Tags: tags, Usage: vault.SignVerify}, 0},
	} {
		if n := count(t, c, row.filter); n != row.want {
			t.Errorf("listed by %s: %d keys, want %d", name, n, row.want)
		}
	}
	if err := c.EnableKeys(ctx, b.ID); err != nil {
		t.Fatal(err)
	}
	if n := count(t, c, vault.KeyFilter{Tags: tags, State: vault.Enabled}); n != 2 {
		t.Errorf("ListKeys by tag and state: %d enabled keys, want 2", n)
	}
}

// equal compares two descriptions of a key.
func equal(a, b vault.Key) bool {
	same := maps.Equal(a.Tags, b.Tags) && a.Created.Equal(b.Created) && a.Rotated.Equal(b.Rotated)
	return same && a.ID == b.ID && a.Alias == b.Alias && a.Description == b.Description && a.State == b.State &&
		a.Usage == b.Usage && a.Spec == b.Spec && a.Origin == b.Origin && a.Creator == b.Creator && a.Version == b.Version &&
		a.Residence == b.Residence && a.Level == b.Level && a.Driver == b.Driver && a.Provenance == b.Provenance && a.ValidTo.Equal(b.ValidTo)
}

// count returns the number of keys that a filter selects.
func count(t *testing.T, c vault.Client, f vault.KeyFilter) (n int) {
	t.Helper()
	for _, err := range c.ListKeys(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// badKeyOptions: each error in the options or names of a new key has its own sentinel,
// and creates nothing.
func badKeyOptions(t *testing.T, s *subject) {
	ctx, c := t.Context(), s.shared.owner()
	k := s.shared.create(t, vault.KeyOptions{Alias: "taken"})
	before := count(t, c, vault.KeyFilter{})
	for name, row := range map[string]struct {
		o    vault.KeyOptions
		want error
	}{
		"alias taken":       {vault.KeyOptions{Alias: "taken"}, vault.ErrExists},
		"bad alias":         {vault.KeyOptions{Alias: "-x"}, vault.ErrInvalid},
		"alias like an id":  {vault.KeyOptions{Alias: k.ID}, vault.ErrInvalid},
		"long alias":        {vault.KeyOptions{Alias: strings.Repeat("a", 61)}, vault.ErrInvalid},
		"long description":  {vault.KeyOptions{Description: strings.Repeat("a", 1025)}, vault.ErrTooLarge},
		"empty tag":         {vault.KeyOptions{Tags: map[string]string{"": "x"}}, vault.ErrInvalid},
		"unknown spec":      {vault.KeyOptions{Spec: "RSA_1024"}, vault.ErrUnsupported},
		"spec and usage":    {vault.KeyOptions{Spec: vault.ECCP256, Usage: vault.EncryptDecrypt}, vault.ErrUnsupported},
		"usage left open":   {vault.KeyOptions{Spec: vault.RSA2048}, vault.ErrInvalid},
		"no such driver":    {vault.KeyOptions{Driver: "nobody"}, vault.ErrInvalid},
		"spec left unnamed": {vault.KeyOptions{Usage: vault.SignVerify}, vault.ErrInvalid},
	} {
		if _, err := c.CreateKey(ctx, row.o); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
	}
	if after := count(t, c, vault.KeyFilter{}); after != before {
		t.Errorf("CreateKey with wrong options made %d keys, want 0", after-before)
	}
	for name, row := range map[string]struct{ got, want error }{
		"unknown tag":   {c.UntagKey(ctx, k.ID, "no"), nil},
		"no such key":   {c.DisableKeys(ctx, "nobody"), vault.ErrNotFound},
		"no such alias": {second(c.DescribeKey(ctx, "nobody")), vault.ErrNotFound},
		"too many keys": {second(c.DescribeKeys(ctx, make([]string, 101)...)), vault.ErrInvalid},
	} {
		if !errors.Is(row.got, row.want) {
			t.Errorf("%s: %v, want %v", name, row.got, row.want)
		}
	}
}

// second returns the second of two results.
func second[T any](_ T, err error) error { return err }
