package unwrap_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"hash"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/keywrap"
	"strongroom.example/internal/pkcs1"
	"strongroom.example/internal/unwrap"
)

var rejection = bytes.Repeat([]byte{7}, pkcs1.KeySize)

// A wrappingKey is a fresh key pair whose private half is open in the software engine.
type wrappingKey struct {
	private driver.Key
	public  []byte // SubjectPublicKeyInfo
}

// newKey generates the wrapping key of an algorithm.
func newKey(t testing.TB, alg driver.WrapAlg) wrappingKey {
	t.Helper()
	d, err := soft.Open(t.Context(), soft.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	spec, ok := unwrap.KeySpec(alg)
	if !ok {
		t.Fatalf("%s has no key spec", alg)
	}
	var id driver.MaterialID
	rand.Read(id[:])
	created, err := d.GenerateKey(context.Background(), id, spec)
	if err != nil {
		t.Fatal(err)
	}
	key, err := d.OpenKey(context.Background(), id, spec, created.Blob)
	if err != nil {
		t.Fatal(err)
	}
	return wrappingKey{key, created.PublicDER}
}

// wrap wraps material as the sender does.
func (k wrappingKey) wrap(t testing.TB, alg driver.WrapAlg, material []byte) []byte {
	t.Helper()
	if alg == driver.WrapSM2 {
		public, err := smx509.ParsePKIXPublicKey(k.public)
		if err != nil {
			t.Fatal(err)
		}
		return must(t)(sm2.EncryptASN1(rand.Reader, public.(*ecdsa.PublicKey), material))
	}
	parsed, err := x509.ParsePKIXPublicKey(k.public)
	if err != nil {
		t.Fatal(err)
	}
	public := parsed.(*rsa.PublicKey)
	oaep := func(h hash.Hash, message []byte) []byte {
		return must(t)(rsa.EncryptOAEP(h, rand.Reader, public, message, nil))
	}
	kek := make([]byte, 32)
	rand.Read(kek)
	switch alg {
	case unwrap.RSAPKCS1:
		//lint:ignore SA1019 what is tested is its decryption
		return must(t)(rsa.EncryptPKCS1v15(rand.Reader, public, material))
	case driver.WrapRSAOAEPSHA1:
		return oaep(sha1.New(), material)
	case driver.WrapRSAOAEPSHA256:
		return oaep(sha256.New(), material)
	case driver.WrapRSAAESKWP, unwrap.RSAAESKWPSHA1:
		return must(t)(keywrap.Wrap(oaep(sha1.New(), kek), kek, material))
	case unwrap.RSAAESKWPSHA256:
		return must(t)(keywrap.Wrap(oaep(sha256.New(), kek), kek, material))
	}
	t.Fatalf("no way to wrap by %s", alg)
	return nil
}

func must(t testing.TB) func([]byte, error) []byte {
	return func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

func (k wrappingKey) unwrap(dst []byte, alg driver.WrapAlg, ciphertext []byte) ([]byte, error) {
	w := driver.Wrapped{With: k.private, Alg: alg, Ciphertext: ciphertext}
	return unwrap.Unwrap(context.Background(), dst, w, rejection)
}
