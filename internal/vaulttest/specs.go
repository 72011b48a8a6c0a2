package vaulttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"maps"
	"testing"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
	"strongroom.example/vault"
)

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
