package vaulttest

import (
	"crypto/fips140"
	"errors"
	"testing"

	"strongroom.example/vault"
)

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
