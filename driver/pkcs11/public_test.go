//go:build cgo && unix

package pkcs11_test

import (
	"bytes"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/testtoken"
)

var curves = []driver.KeyAlgorithm{driver.ECP256, driver.ECP384, driver.ECP521}

// losePublic destroys a key's public key object.
func (a *attacker) losePublic(id driver.MaterialID) {
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
		a := newAttacker(t, token)
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
