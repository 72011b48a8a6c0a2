//go:build cgo && unix

package pkcs11_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/testtoken"
)

var curves = []driver.KeyAlgorithm{driver.ECP256, driver.ECP384, driver.ECP521}

// losePublic destroys a key's public key object.
func (a *attackSession) losePublic(id driver.MaterialID) {
	a.t.Helper()
	if err := a.FindObjectsInit(a.session, []*p11.Attribute{attribute(p11.CKA_CLASS, p11.CKO_PUBLIC_KEY), attribute(p11.CKA_ID, id[:])}); err != nil {
		a.t.Fatal(err)
	}
	found, _, err := a.FindObjects(a.session, 10)
	if err != nil {
		a.t.Fatal(err)
	}
	a.FindObjectsFinal(a.session)
	if len(found) != 1 {
		a.t.Fatalf("%d public key objects, want 1", len(found))
	}
	if err := a.DestroyObject(a.session, found[0]); err != nil {
		a.t.Fatal(err)
	}
}

// TestLostPublicHalf: the public key object of a pair is lost, as after a crash.
// Generating the key again returns the same public key, except for Ed25519, and the
// private key works.
func TestLostPublicHalf(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		d := opened(t, token)
		a := newAttackSession(t, token)
		for _, alg := range append(curves, driver.Ed25519) {
			spec := driver.KeySpec{Algorithm: alg, Usage: driver.Sign}
			row, ok := d.Info().Find(spec)
			if !ok {
				continue
			}
			id := freshID()
			made, err := d.GenerateKey(t.Context(), id, spec)
			if err != nil {
				t.Fatal(err)
			}
			a.losePublic(id)
			again, err := d.GenerateKey(t.Context(), id, spec)
			if alg == driver.Ed25519 {
				if err == nil || !strings.Contains(err.Error(), "destroy the key and make another") {
					t.Errorf("GenerateKey of %s without its public key: %v, want the advice to make another key", alg, err)
				}
			} else if err != nil || !bytes.Equal(made.PublicDER, again.PublicDER) {
				t.Errorf("GenerateKey of %s without its public key: another public key, or %v", alg, err)
			}
			k, err := d.OpenKey(t.Context(), id, spec, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.(driver.Signer).Sign(t.Context(), row.Sign[0], make([]byte, max(32, row.Sign[0].DigestSize()))); err != nil {
				t.Errorf("Sign with %s without its public key: %v", alg, err)
			}
		}
	})
}

// TestDamagedPublicHalf: the token does not return an attribute of a public key that it
// has just made. Both keys of the pair are destroyed and made again.
func TestDamagedPublicHalf(t *testing.T) {
	const typeInvalid = 0x12
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	d := opened(t, faulty.PKCS11)
	for _, spec := range []driver.KeySpec{
		{Algorithm: driver.ECP256, Usage: driver.Sign},
		{Algorithm: driver.RSA2048, Usage: driver.Sign},
		{Algorithm: driver.RSA2048, Usage: driver.Decrypt},
	} {
		before, made := objects(t, faulty.PKCS11), faulty.Calls(testtoken.CGenerateKeyPair)
		faulty.Fail(testtoken.CGetAttribute, typeInvalid, 1, false)
		id := freshID()
		if _, err := d.GenerateKey(t.Context(), id, spec); err != nil {
			t.Fatalf("GenerateKey of %v: %v", spec, err)
		}
		if n := faulty.Calls(testtoken.CGenerateKeyPair) - made; n != 2 {
			t.Errorf("%v: C_GenerateKeyPair was called %d times, want 2", spec, n)
		}
		if n := objects(t, faulty.PKCS11) - before; n != 2 {
			t.Errorf("%v: %d new objects, want 2", spec, n)
		}
		if _, err := d.OpenKey(t.Context(), id, spec, nil); err != nil {
			t.Errorf("OpenKey of %v: %v", spec, err)
		}
	}
}

// objects returns the number of objects of a SoftHSM token, each of which is a file.
func objects(t *testing.T, token testtoken.PKCS11) int {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(token.Dir, "*.object"))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
