//go:build cgo && unix

package pkcs11_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/testtoken"
)

// TestUnwrappedCurves: a wrapped EC key can be imported, and its public key is the
// owner's each time that it is read, even if the PKCS #8 file has none or that of another
// key. NSS imports no wrapped private key, and the self-test must have found that.
func TestUnwrappedCurves(t *testing.T) {
	d := opened(t, testtoken.NewSoftHSM(t))
	with, public := wrappingPair(t, d)
	for _, alg := range curves {
		spec := driver.KeySpec{Algorithm: alg, Usage: driver.Sign}
		if row, ok := d.Info().Find(spec); !ok || len(row.WrappedImport) != 1 {
			t.Errorf("%s: WrappedImport is %v, want one algorithm", alg, row.WrappedImport)
			continue
		}
		in := sample(t, alg)
		want := publicOf(t, in)
		for name, in := range map[string][]byte{
			"as it is": in, "without public half": withPublic(t, in, nil), "with another's": withPublic(t, in, sample(t, alg)),
		} {
			id := freshID()
			for range 2 {
				w := driver.Wrapped{With: with, Alg: driver.WrapRSAAESKWP, Ciphertext: wrapBy(t, driver.WrapRSAAESKWP, public, in)}
				created, err := d.(driver.WrappedImporter).ImportWrapped(t.Context(), id, spec, w)
				if err != nil || !bytes.Equal(created.PublicDER, want) {
					t.Errorf("ImportWrapped of %s, %s: public key %x, %v, want the owner's", alg, name, created.PublicDER, err)
				}
			}
		}
	}
}

// publicOf returns the public key of a PKCS #8 key.
func publicOf(t *testing.T, in []byte) []byte {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(in)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.(*ecdsa.PrivateKey).Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// An ecPrivateKey is the ECPrivateKey of RFC 5915.
type ecPrivateKey struct {
	Version int
	D       []byte
	Public  asn1.BitString `asn1:"optional,explicit,tag:1"`
}

// withPublic replaces the public key in a PKCS #8 key by that of another one, or removes
// it.
func withPublic(t *testing.T, in, of []byte) []byte {
	t.Helper()
	type pkcs8 struct {
		Version   int
		Algorithm asn1.RawValue
		Key       []byte
	}
	parse := func(in []byte) (outer pkcs8, inner ecPrivateKey) {
		if _, err := asn1.Unmarshal(in, &outer); err != nil {
			t.Fatal(err)
		}
		if _, err := asn1.Unmarshal(outer.Key, &inner); err != nil {
			t.Fatal(err)
		}
		return outer, inner
	}
	outer, inner := parse(in)
	inner.Public = asn1.BitString{}
	if of != nil {
		_, other := parse(of)
		inner.Public = other.Public
	}
	var err error
	if outer.Key, err = asn1.Marshal(inner); err != nil {
		t.Fatal(err)
	}
	out, err := asn1.Marshal(outer)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestUnwrapMalformed: an input that is not a key on the curve is Authentic, or Invalid
// if the token makes a key of it, and no object stays in the token.
func TestUnwrapMalformed(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	d := opened(t, token)
	with, public := wrappingPair(t, d)
	a := newAttackSession(t, token)
	good := sample(t, driver.ECP256)
	// The private number follows version 1 and the tag of 32 bytes (RFC 5915).
	at := bytes.Index(good, []byte{2, 1, 1, 4, 32}) + 5
	zero := bytes.Clone(good)
	clear(zero[at : at+32])
	for name, in := range map[string][]byte{
		"0": zero, "another curve": sample(t, driver.ECP384), "RSA": sample(t, driver.RSA2048),
		"half": good[:len(good)/2], "random": randomBytes(len(good)),
	} {
		id := freshID()
		w := driver.Wrapped{With: with, Alg: driver.WrapRSAAESKWP, Ciphertext: wrapBy(t, driver.WrapRSAAESKWP, public, in)}
		_, err := d.(driver.WrappedImporter).ImportWrapped(t.Context(), id, driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign}, w)
		want := driver.Authentic
		if name == "another curve" {
			want = driver.Invalid
		}
		if !is(err, want) {
			t.Errorf("ImportWrapped of %s: %v, want %v", name, err, want)
		}
		if n := a.count(id); n != 0 {
			t.Errorf("%s: %d objects are left in the token, want 0", name, n)
		}
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// count returns the number of objects with an id.
func (a *attackSession) count(id driver.MaterialID) int {
	a.t.Helper()
	if err := a.FindObjectsInit(a.session, []*p11.Attribute{attribute(p11.CKA_ID, id[:])}); err != nil {
		a.t.Fatal(err)
	}
	found, _, err := a.FindObjects(a.session, 10)
	if err != nil {
		a.t.Fatal(err)
	}
	a.FindObjectsFinal(a.session)
	return len(found)
}

// wrappingPair makes a wrapping key and opens it.
func wrappingPair(t *testing.T, d driver.Driver) (driver.Key, *rsa.PublicKey) {
	t.Helper()
	id := freshID()
	created, err := d.(driver.WrappedImporter).GenerateWrappingKey(t.Context(), id, driver.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParsePKIXPublicKey(created.PublicDER)
	if err != nil {
		t.Fatal(err)
	}
	with, err := d.OpenKey(t.Context(), id, driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Unwrap}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return with, parsed.(*rsa.PublicKey)
}
