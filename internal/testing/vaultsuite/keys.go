package vaultsuite

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
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
	listsBy(t, c, tags, want.Tags)
	severalAliases(t, s, a, b)
	if err := c.EnableKeys(ctx, b.ID); err != nil {
		t.Fatal(err)
	}
	if n := count(t, c, vault.KeyFilter{Tags: tags, State: vault.Enabled}); n != 2 {
		t.Errorf("ListKeys by tag and state: %d enabled keys, want 2", n)
	}
}

// severalAliases: each alias of a key names it, also after a move, and an alias has one key.
func severalAliases(t *testing.T, s *subject, a, b vault.Key) {
	t.Helper()
	ctx, c := t.Context(), s.shared.owner()
	if err := errors.Join(c.AddAlias(ctx, a.ID, "also/a"), c.AddAlias(ctx, b.ID, "also/b"), c.MoveAlias(ctx, "also/b", a.ID)); err != nil {
		t.Fatal(err)
	}
	if err := c.AddAlias(ctx, b.ID, "also/a"); !errors.Is(err, vault.ErrExists) {
		t.Errorf("AddAlias of an alias of another key: %v, want ErrExists", err)
	}
	names := []string{"also/b", "b", "also/a"}
	for _, name := range names {
		if got, err := c.DescribeKey(ctx, name); err != nil || got.ID != a.ID || !slices.Equal(got.Aliases(), names) {
			t.Errorf("alias %s: key %s with the aliases %q, %v, want %s with %q", name, got.ID, got.Aliases(), err, a.ID, names)
		}
	}
	if err := errors.Join(c.DeleteAlias(ctx, "also/a"), c.DeleteAlias(ctx, "also/b")); err != nil {
		t.Fatal(err)
	}
}

// listsBy lists by each field of a filter. tags are those of both keys, own those of the
// first.
func listsBy(t *testing.T, c vault.Client, tags, own map[string]string) {
	t.Helper()
	for name, row := range map[string]struct {
		filter vault.KeyFilter
		want   int
	}{
		"tag":      {vault.KeyFilter{Tags: tags}, 2},
		"two tags": {vault.KeyFilter{Tags: own}, 1},
		"alias":    {vault.KeyFilter{Tags: tags, Alias: "b"}, 1},
		"state":    {vault.KeyFilter{Tags: tags, State: vault.Disabled}, 1},
		"usage":    {vault.KeyFilter{Tags: tags, Usage: vault.SignVerify}, 0},
	} {
		if n := count(t, c, row.filter); n != row.want {
			t.Errorf("listed by %s: %d keys, want %d", name, n, row.want)
		}
	}
}

// equal compares two descriptions of a key.
func equal(a, b vault.Key) bool {
	same := maps.Equal(a.Tags, b.Tags) && a.Created.Equal(b.Created) && a.Rotated.Equal(b.Rotated)
	return same && a.ID == b.ID && slices.Equal(a.Aliases(), b.Aliases()) && a.Description == b.Description && a.State == b.State &&
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
		"long alias":        {vault.KeyOptions{Alias: strings.Repeat("a", 251)}, vault.ErrInvalid},
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

// specs: each kind of key is created on the default driver, else by the software engine,
// else not at all. The vault's description of it matches the driver's.
func specs(t *testing.T, s *subject) {
	for _, r := range s.rows {
		t.Run(r.String(), func(t *testing.T) {
			for _, x := range s.homes() {
				if _, _, ok := s.place(x, r); !ok {
					wantUnsupported(t, x, vault.KeyOptions{Spec: r.spec, Usage: r.usage})
					continue
				}
				if x == s.shared || r.bits() == 0 {
					s.checkPlace(t, x, r)
				}
			}
		})
	}
	for _, r := range s.each() {
		k := s.shared.create(t, vault.KeyOptions{Spec: r.spec, Usage: r.usage, Driver: softName})
		if k.Driver != softName || k.Residence != vault.Wrapped || k.Level != driver.LevelSoftware {
			t.Errorf("CreateKey of %s on the software engine: %+v, want it wrapped at level SOFTWARE", r, k)
		}
	}
}

// homes returns the vaults of the suite, without duplicates.
func (s *subject) homes() []*home {
	if s.faulty == s.shared {
		return []*home{s.shared}
	}
	return []*home{s.shared, s.faulty}
}

func wantUnsupported(t *testing.T, x *home, o vault.KeyOptions) {
	t.Helper()
	if _, err := x.owner().CreateKey(t.Context(), o); !errors.Is(err, vault.ErrUnsupported) {
		t.Errorf("CreateKey(%+v): %v, want ErrUnsupported", o, err)
	}
}

// checkPlace creates the key of a row and compares its description with the driver's
// table.
func (s *subject) checkPlace(t *testing.T, x *home, r row) {
	t.Helper()
	name, can, _ := s.place(x, r)
	want := vault.KeyVersion{Number: 1, Origin: vault.OriginVault, Residence: vault.Wrapped, Level: driver.LevelSoftware, Driver: name, Provenance: vault.ProvenanceVault}
	if can.Resident {
		want.Residence, want.Level, want.Provenance = vault.Resident, s.info().Level, vault.ProvenanceDevice
	}
	k := x.key(t, r)
	if k.Spec != r.spec || k.Usage != r.usage || k.State != vault.Enabled || k.Version != 1 || k.Origin != want.Origin {
		t.Errorf("CreateKey: %+v, want the requested spec and usage, Enabled, version 1", k)
	}
	if k.Driver != want.Driver || k.Residence != want.Residence || k.Level != want.Level || k.Provenance != want.Provenance {
		t.Errorf("%+v, want it as %+v", k, want)
	}
	versions, err := x.owner().ListKeyVersions(t.Context(), k.ID)
	if err != nil || len(versions) != 1 {
		t.Fatalf("ListKeyVersions: %d versions, %v, want 1", len(versions), err)
	}
	v := versions[0]
	if v.Key != k.ID || v.Number != 1 || v.Origin != want.Origin || v.Driver != want.Driver || v.Residence != want.Residence || v.Level != want.Level || v.Provenance != want.Provenance {
		t.Errorf("%+v, want %+v", v, want)
	}
	if !maps.Equal(v.Attributes, x.made[r].attributes) {
		t.Errorf("attributes of the version: %v, want those of the device: %v", v.Attributes, x.made[r].attributes)
	}
	if can.Slow {
		byDefault := x.create(t, vault.KeyOptions{Spec: r.spec, Usage: r.usage})
		if byDefault.Driver != softName || byDefault.Residence != vault.Wrapped {
			t.Errorf("CreateKey of a spec that the device does slowly: %+v, want the software engine", byDefault)
		}
	}
	if name != x.driver() {
		wantUnsupported(t, x, vault.KeyOptions{Spec: r.spec, Usage: r.usage, Driver: x.driver()})
	}
	checkPublic(t, x, r)
}

// checkPublic checks that the public key matches the spec, and that a symmetric key has
// none.
func checkPublic(t *testing.T, x *home, r row) {
	t.Helper()
	p, err := x.owner().PublicKey(t.Context(), x.key(t, r).ID)
	if r.usage == vault.EncryptDecrypt || r.usage == vault.GenerateVerifyMac {
		if !errors.Is(err, vault.ErrUsage) {
			t.Errorf("PublicKey of a symmetric key: %v, want ErrUsage", err)
		}
		return
	}
	if err != nil || p.Spec != r.spec || p.Usage != r.usage {
		t.Fatalf("PublicKey: %+v, %v, want the key's spec and usage", p, err)
	}
	if got := specOf(parse(t, p)); got != r.spec {
		t.Errorf("the public key has spec %q, want the key's", got)
	}
}

// specOf returns the spec of a public key.
func specOf(public crypto.PublicKey) vault.KeySpec {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return map[int]vault.KeySpec{2048: vault.RSA2048, 3072: vault.RSA3072, 4096: vault.RSA4096}[key.N.BitLen()]
	case ed25519.PublicKey:
		return vault.Ed25519
	case *ecdsa.PublicKey:
		if key.Curve == sm2.P256() {
			return vault.SM2
		}
		return map[string]vault.KeySpec{"P-256": vault.ECCP256, "P-384": vault.ECCP384, "P-521": vault.ECCP521}[key.Params().Name]
	}
	return ""
}
