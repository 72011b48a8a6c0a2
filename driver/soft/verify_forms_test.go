package soft_test

import (
	"context"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
)

// TestVerifyTakesOneForm checks that an elliptic-curve signature verifies in strict DER
// only. Another encoding of the same numbers is Authentic, and a public key with trailing
// data is Invalid.
func TestVerifyTakesOneForm(t *testing.T) {
	d := newDriver(t, soft.Config{})
	for alg, sign := range map[driver.KeyAlgorithm]driver.SignAlg{driver.ECP256: driver.ECDSASHA256, driver.SM2: driver.SM2DSA} {
		spec, id, digest := driver.KeySpec{Algorithm: alg, Usage: driver.Sign}, driver.MaterialID{1}, make([]byte, 32)
		rand.Read(digest)
		made, err := d.GenerateKey(context.Background(), id, spec)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := d.OpenKey(context.Background(), id, spec, made.Blob)
		if err != nil {
			t.Fatal(err)
		}
		good, err := opened.(driver.Signer).Sign(context.Background(), sign, digest)
		if err != nil {
			t.Fatal(err)
		}
		if err := soft.Verify(made.PublicDER, sign, digest, good); err != nil {
			t.Errorf("%s: Verify of a good signature: %v", alg, err)
		}
		if err := soft.Verify(append(slices.Clone(made.PublicDER), 0), sign, digest, good); !errors.Is(err, driver.Invalid) {
			t.Errorf("%s: Verify by a public key with a byte after it: %v, want Invalid", alg, err)
		}
		for form, signature := range signatureForms(t, good) {
			if err := soft.Verify(made.PublicDER, sign, digest, signature); !errors.Is(err, driver.Authentic) {
				t.Errorf("%s: Verify of a signature as %s: %v, want Authentic", alg, form, err)
			}
		}
	}
}

// signatureForms returns the numbers of a signature in other encodings than DER.
func signatureForms(t *testing.T, der []byte) map[string][]byte {
	t.Helper()
	var s struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &s); err != nil {
		t.Fatal(err)
	}
	encode := func(content any) []byte {
		out, err := asn1.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	return map[string][]byte{
		"r ‖ s":                   slices.Concat(s.R.FillBytes(make([]byte, 32)), s.S.FillBytes(make([]byte, 32))),
		"a long form of a length": slices.Concat([]byte{0x30, 0x81}, der[1:]),
		"an indefinite length":    slices.Concat([]byte{0x30, 0x80}, der[2:], []byte{0, 0}),
		"a byte following":        append(slices.Clone(der), 0),
		"a part too many":         encode([]any{s.R, s.S, 1}),
		"a zero in front of r":    slices.Concat([]byte{0x30, der[1] + 1, 2, der[3] + 1, 0}, der[4:]),
		"r negative":              encode([]any{new(big.Int).Neg(s.R), s.S}),
		"an OCTET STRING":         encode([]any{s.R.Bytes(), s.S.Bytes()}),
	}
}
