//go:build cgo && unix

package pkcs11_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/keywrap"
)

// sample makes material for an import.
func sample(t *testing.T, alg driver.KeyAlgorithm) []byte {
	t.Helper()
	var key crypto.PrivateKey
	var err error
	switch alg {
	case driver.RSA2048:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case driver.ECP256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case driver.ECP384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case driver.ECP521:
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case driver.Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		secret := make([]byte, alg.MACSize())
		rand.Read(secret)
		return secret
	}
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// keyWrapPadded wraps with AES-KWP.
func keyWrapPadded(t *testing.T, key, secret []byte) []byte {
	t.Helper()
	wrapped, err := keywrap.Wrap(nil, key, secret)
	if err != nil {
		t.Fatal(err)
	}
	return wrapped
}

// everyWay makes a key of a spec in each way that the driver supports.
func everyWay(t *testing.T, d driver.Driver, row driver.SpecInfo) map[string]driver.MaterialID {
	t.Helper()
	ids := map[string]driver.MaterialID{"generated": freshID()}
	if row.Spec.Usage == driver.Unwrap {
		if _, err := d.(driver.WrappedImporter).GenerateWrappingKey(t.Context(), ids["generated"], row.Spec.Algorithm); err != nil {
			t.Fatal(err)
		}
		return ids
	}
	if _, err := d.GenerateKey(t.Context(), ids["generated"], row.Spec); err != nil {
		t.Fatal(err)
	}
	if row.Import {
		ids["imported"] = freshID()
		if _, err := d.(driver.Importer).ImportKey(t.Context(), ids["imported"], row.Spec, sample(t, row.Spec.Algorithm)); err != nil {
			t.Fatal(err)
		}
	}
	if len(row.WrappedImport) > 0 {
		ids["unwrapped"] = freshID()
		importWrapped(t, d, ids["unwrapped"], row)
	}
	return ids
}

// A wrappingKey is a key with usage Unwrap, and a ciphertext that was imported with it.
type wrappingKey struct {
	id         driver.MaterialID
	ciphertext []byte
}

// importWrapped imports material with OAEP and SHA-1, or in two steps.
func importWrapped(t *testing.T, d driver.Driver, id driver.MaterialID, row driver.SpecInfo) wrappingKey {
	t.Helper()
	importer := d.(driver.WrappedImporter)
	wrapping := wrappingKey{id: freshID()}
	created, err := importer.GenerateWrappingKey(t.Context(), wrapping.id, driver.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParsePKIXPublicKey(created.PublicDER)
	if err != nil {
		t.Fatal(err)
	}
	with, err := d.OpenKey(t.Context(), wrapping.id, driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Unwrap}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wrapping.ciphertext = wrapBy(t, row.WrappedImport[0], parsed.(*rsa.PublicKey), sample(t, row.Spec.Algorithm))
	w := driver.Wrapped{With: with, Alg: row.WrappedImport[0], Ciphertext: wrapping.ciphertext}
	if _, err := importer.ImportWrapped(t.Context(), id, row.Spec, w); err != nil {
		t.Fatal(err)
	}
	return wrapping
}

func wrapBy(t *testing.T, alg driver.WrapAlg, public *rsa.PublicKey, secret []byte) []byte {
	t.Helper()
	inner := make([]byte, 32)
	rand.Read(inner)
	outer := secret
	if alg.TwoSteps() {
		outer = inner
	}
	h := sha1.New()
	if alg == driver.WrapRSAOAEPSHA256 || alg == driver.WrapRSAAESKWPSHA256 {
		h = sha256.New()
	}
	ciphertext, err := rsa.EncryptOAEP(h, rand.Reader, public, outer, nil)
	if err != nil {
		t.Fatal(err)
	}
	if alg.TwoSteps() {
		ciphertext = append(ciphertext, keyWrapPadded(t, inner, secret)...)
	}
	return ciphertext
}

// listed returns the ids that ListKeys yields.
func listed(t *testing.T, d driver.Driver) (ids []driver.MaterialID) {
	t.Helper()
	for id, err := range d.(driver.Lister).ListKeys(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}
