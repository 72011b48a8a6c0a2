//go:build cgo && unix

package pkcs11_test

import (
	"bytes"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/testtoken"
)

// TestLostPrivateHalf: only the public key of a pair exists, as after a crash while the
// pair was made. Making it again gives a complete pair. A public key with another label
// is not changed.
func TestLostPrivateHalf(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		d := opened(t, token)
		a := newAttackSession(t, token)
		for _, alg := range []driver.KeyAlgorithm{driver.RSA2048, driver.ECP256} {
			id, spec := freshID(), driver.KeySpec{Algorithm: alg, Usage: driver.Sign}
			needs(t, d, spec)
			first, err := d.GenerateKey(t.Context(), id, spec)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.DestroyObject(a.session, a.objects(id)[0]); err != nil {
				t.Fatal(err)
			}
			other := driver.KeySpec{Algorithm: alg, Usage: driver.Decrypt}
			if alg == driver.ECP256 {
				other = driver.KeySpec{Algorithm: driver.ECP384, Usage: driver.Sign}
			}
			if _, err := d.GenerateKey(t.Context(), id, other); !is(err, driver.Invalid) {
				t.Errorf("GenerateKey of %v over a public key of %v: %v, want Invalid", other, spec, err)
			}
			second, err := d.GenerateKey(t.Context(), id, spec)
			if err != nil || bytes.Equal(first.PublicDER, second.PublicDER) {
				t.Errorf("GenerateKey of %v over a lone public key: %v, want a new pair", spec, err)
			}
			a.losePublic(id) // there is one
		}
	})
}

// TestImportAgainWithAFault: a temporary error while an existing key is checked is not
// reported as a key with other material.
func TestImportAgainWithAFault(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	d := opened(t, faulty.PKCS11)
	for spec, call := range map[driver.KeySpec]testtoken.PKCS11Call{
		derive: testtoken.CSignInit, {Algorithm: driver.RSA2048, Usage: driver.Decrypt}: testtoken.CDecrypt,
	} {
		id, in := freshID(), sample(t, spec.Algorithm)
		if _, err := d.(driver.Importer).ImportKey(t.Context(), id, spec, in); err != nil {
			t.Fatal(err)
		}
		for _, name := range passing {
			faulty.Fail(call, codes[name], 1, false)
			if _, err := d.(driver.Importer).ImportKey(t.Context(), id, spec, in); err != nil {
				t.Errorf("ImportKey of %v again, with one %s: %v", spec, name, err)
			}
		}
		if _, err := d.(driver.Importer).ImportKey(t.Context(), id, spec, sample(t, spec.Algorithm)); !is(err, driver.Invalid) {
			t.Errorf("ImportKey of %v with other material: %v, want Invalid", spec, err)
		}
	}
}
