package vaultsuite

import (
	"bytes"
	"crypto/fips140"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/vault"
)

// placeOfImport returns the driver for imported keys of a row: the default driver, or the
// software engine if the default driver cannot import them.
func (s *subject) placeOfImport(x *home, r row) string {
	name, can, _ := s.place(x, r)
	if can.Import || len(can.WrappedImport) > 0 {
		return name
	}
	return softName
}

// imports: external material can be imported, used, deleted and imported again. Any other
// material in its place is refused.
func imports(t *testing.T, s *subject) {
	x := s.shared
	objects := x.objects(t)
	for _, r := range s.each() {
		t.Run(r.String(), func(t *testing.T) { s.importsOf(t, r) })
	}
	x.reopen(t) // also completes the vault's background cleanup
	if added := x.objectsSince(t, objects); added != 0 {
		t.Errorf("the imports left %d objects in the device, want 0", added)
	}
}

func (s *subject) importsOf(t *testing.T, r row) {
	x := s.shared
	o := x.options(r)
	o.Origin = vault.OriginExternal
	on := s.placeOfImport(x, r)
	if on != x.driver() {
		o.Driver = x.driver()
		wantUnsupported(t, x, o)
		o.Driver = ""
	}
	k := x.create(t, o)
	if k.State != vault.PendingImport || k.Origin != vault.OriginExternal || k.Driver != on || k.Version != 0 {
		t.Errorf("CreateKey with external origin: %+v, want a PendingImport key without a version", k)
	}
	p := parameters(t, x, k, vault.ImportRequest{})
	own := newMaterial(t, r, p.MaterialSize)
	wantNoImport(t, x, k, p, own)
	k = bring(t, x, k, p, own)
	if k.State != vault.Enabled || k.Version != 1 || k.Provenance != vault.ProvenanceImported || k.Driver != on {
		t.Errorf("key after the import: %+v, want Enabled, version 1 and imported provenance", k)
	}
	pathTold(t, x, k, p)
	m := s.sampleOf(t, x, r, k)
	isMaterial(t, x, m, own)
	s.goesAndComesBack(t, x, m, own)
}

func parameters(t *testing.T, x *home, k vault.Key, r vault.ImportRequest) vault.ImportParameters {
	t.Helper()
	p, err := x.owner().ParametersForImport(t.Context(), k.ID, r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// bring imports an owner's material.
func bring(t *testing.T, x *home, k vault.Key, p vault.ImportParameters, own material) vault.Key {
	t.Helper()
	k, err := x.owner().ImportKeyMaterial(t.Context(), k.ID, vault.ImportMaterial{Token: p.Token, EncryptedMaterial: wrap(t, p, own.plain)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// wantNoImport tries four wrong imports, within the five attempts of a token.
func wantNoImport(t *testing.T, x *home, k vault.Key, p vault.ImportParameters, own material) {
	t.Helper()
	good := vault.ImportMaterial{Token: p.Token, EncryptedMaterial: wrap(t, p, own.plain)}
	other := x.create(t, vault.KeyOptions{Spec: k.Spec, Usage: k.Usage, Origin: vault.OriginExternal, Driver: k.Driver})
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	for name, row := range map[string]struct {
		key  string
		m    vault.ImportMaterial
		want error
	}{
		"no token":         {k.ID, vault.ImportMaterial{EncryptedMaterial: good.EncryptedMaterial}, vault.ErrImportToken},
		"flipped token":    {k.ID, vault.ImportMaterial{Token: flip(good.Token, len(good.Token)/2), EncryptedMaterial: good.EncryptedMaterial}, vault.ErrImportToken},
		"another's token":  {other.ID, good, vault.ErrImportToken},
		"flipped material": {k.ID, vault.ImportMaterial{Token: p.Token, EncryptedMaterial: flip(good.EncryptedMaterial, 100)}, vault.ErrImport},
		"cut material":     {k.ID, vault.ImportMaterial{Token: p.Token, EncryptedMaterial: good.EncryptedMaterial[1:]}, vault.ErrImport},
		"too short":        {k.ID, vault.ImportMaterial{Token: p.Token, EncryptedMaterial: wrap(t, p, own.plain[:len(own.plain)-1])}, vault.ErrImport},
		"in the past":      {k.ID, vault.ImportMaterial{Token: p.Token, EncryptedMaterial: good.EncryptedMaterial, ValidTo: time.Unix(1, 0)}, vault.ErrInvalid},
	} {
		if got, err := x.owner().ImportKeyMaterial(t.Context(), row.key, row.m); !errors.Is(err, row.want) {
			t.Errorf("%s: %+v, %v, want %v", name, got, err, row.want)
		}
	}
	if now, err := x.owner().DescribeKey(t.Context(), k.ID); err != nil || now.State != vault.PendingImport {
		t.Errorf("DescribeKey after wrong imports: %+v, %v, want PendingImport", now, err)
	}
}

// pathTold checks that the version has the path by which its material was imported.
func pathTold(t *testing.T, x *home, k vault.Key, p vault.ImportParameters) {
	t.Helper()
	versions, err := x.owner().ListKeyVersions(t.Context(), k.ID)
	if err != nil || len(versions) != 1 || versions[0].Attributes["import-path"] != string(p.Path) {
		t.Errorf("ListKeyVersions: %+v, %v, want one version with import path %s", versions, err, p.Path)
	}
}

// isMaterial checks that a key has the same results as the owner's material outside the
// vault.
func isMaterial(t *testing.T, x *home, m keySample, own material) {
	t.Helper()
	if own.public != nil {
		want, err := smx509.MarshalPKIXPublicKey(own.public)
		if err != nil || !bytes.Equal(x.publicOf(t, m.key.ID).DER, want) {
			t.Errorf("the public key differs from that of the imported material, %v", err)
		}
	}
	if m.usage == vault.GenerateVerifyMac {
		newHash := map[vault.KeySpec]func() hash.Hash{
			vault.HMAC224: sha256.New224, vault.HMAC256: sha256.New, vault.HMAC384: sha512.New384, vault.HMAC512: sha512.New, vault.HMACSM3: sm3.New,
		}[m.spec]
		h := hmac.New(newHash, own.plain)
		h.Write([]byte(message))
		if !bytes.Equal(h.Sum(nil), m.mac) {
			t.Error("the MAC differs from one computed with the imported material")
		}
	}
	allWork(t, x, []keySample{m})
}

// goesAndComesBack deletes the material and imports it again.
func (s *subject) goesAndComesBack(t *testing.T, x *home, m keySample, own material) {
	t.Helper()
	ctx, c := t.Context(), x.owner()
	remove := func() {
		t.Helper()
		if err := c.DeleteImportedKeyMaterial(ctx, m.key.ID); err != nil {
			t.Fatal(err)
		}
	}
	remove()
	for _, a := range actsOf(m.usage) {
		if err := a.run(ctx, c, m); !errors.Is(err, vault.ErrKeyState) {
			t.Errorf("%s without material: %v, want ErrKeyState", a.op, err)
		}
	}
	p := parameters(t, x, m.key, vault.ImportRequest{})
	strange := vault.ImportMaterial{Token: p.Token, EncryptedMaterial: wrap(t, p, newMaterial(t, m.row, p.MaterialSize).plain)}
	if _, err := c.ImportKeyMaterial(ctx, m.key.ID, strange); !errors.Is(err, vault.ErrOtherMaterial) {
		t.Errorf("other material: %v, want ErrOtherMaterial", err)
	}
	bring(t, x, m.key, p, own)
	allWork(t, x, []keySample{m})
	remove()
}

// wrappings: symmetric material can be imported with every algorithm of the edition.
func wrappings(t *testing.T, s *subject) {
	x, r := s.shared, s.each()[0]
	o := x.options(r)
	o.Origin, o.Driver = vault.OriginExternal, s.placeOfImport(x, r)
	k := x.create(t, o)
	own, ct := material{}, []byte(nil)
	for _, alg := range []vault.WrappingAlgorithm{
		vault.WrapRSAESOAEPSHA256, vault.WrapRSAAESSHA256, vault.WrapRSAESOAEPSHA1, vault.WrapRSAAESSHA1, vault.WrapRSAESPKCS1V15, vault.WrapSM2,
	} {
		p, err := x.owner().ParametersForImport(t.Context(), k.ID, vault.ImportRequest{Algorithm: alg})
		if errors.Is(err, vault.ErrUnsupported) && s.mayLack(alg) {
			t.Logf("%s: %v", alg, err)
			continue
		}
		if err != nil {
			t.Fatalf("import by %s: %v", alg, err)
		}
		if own.plain == nil {
			own = newMaterial(t, r, p.MaterialSize)
		}
		bring(t, x, k, p, own)
		if ct == nil {
			ct = encrypt(t, x, k.ID)
		}
		got, err := x.owner().Decrypt(t.Context(), ct, purpose())
		if err := same(got, err); err != nil {
			t.Errorf("Decrypt with material imported by %s: %v", alg, err)
		}
	}
}

// mayLack reports whether an algorithm need not import symmetric material, because the
// edition or this process does not support it.
func (s *subject) mayLack(alg vault.WrappingAlgorithm) bool {
	sha1 := alg == vault.WrapRSAESOAEPSHA1 || alg == vault.WrapRSAAESSHA1
	if s.edition == vault.FIPS {
		return sha1 || alg == vault.WrapRSAESPKCS1V15 || alg == vault.WrapSM2
	}
	return fips140.Enforced() && (sha1 || alg == vault.WrapSM2)
}
