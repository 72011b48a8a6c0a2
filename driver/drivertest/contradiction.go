package drivertest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
	"strongroom.example/internal/keyder"
)

// importContradiction imports private keys whose parts belong to two keys. Such a key is
// Invalid, because a vault binds a CMK permanently to the first key that it is given.
func importContradiction(t tb, s *subject) {
	for _, row := range s.importable() {
		if row.Spec.Algorithm.Symmetric() {
			continue
		}
		for what, in := range s.contradictions(t, row.Spec.Algorithm) {
			id := freshID()
			created, err := s.Driver.(driver.Importer).ImportKey(context.Background(), id, row.Spec, in)
			wantClass(t, err, fmt.Sprintf("%v: ImportKey of a key with %s", row.Spec, what), driver.Invalid)
			if err == nil {
				s.discard(t, createdKey{id: id, row: row, created: created})
			}
		}
	}
}

// contradictions returns PKCS #8 keys of an algorithm whose parts belong to two keys.
func (s *subject) contradictions(t tb, alg driver.KeyAlgorithm) map[string][]byte {
	t.Helper()
	good := s.encoded(t, alg)
	list := make(map[string][]byte)
	swap := func(what string, from, to []byte) {
		if bytes.Count(good, from) != 1 || len(from) != len(to) {
			t.Fatalf("%s: the encoding of test material does not contain its %s exactly once", alg, what)
		}
		list[what] = bytes.Replace(good, from, to, 1)
	}
	switch k := s.material(t, alg).private.(type) {
	case *rsa.PrivateKey:
		n := k.N.Bytes()
		swap("another modulus", n, new(big.Int).Add(k.N, big.NewInt(2)).Bytes())
		swap("another coefficient", k.Precomputed.Qinv.Bytes(), flipped(k.Precomputed.Qinv.Bytes(), 0))
	case ed25519.PrivateKey:
		list["another public half"] = ed25519WithPublic(k.Seed(), flipped(k[ed25519.SeedSize:], 5))
	case *ecdsa.PrivateKey:
		d, err := k.Bytes()
		if err != nil {
			t.Fatalf("%s: test material: %v", alg, err)
		}
		swap("another private number", d, flipped(d, len(d)/2))
		swap("another public half", pointOf(&k.PublicKey), s.otherPoint(t, alg))
	case *sm2.PrivateKey:
		d := k.D.FillBytes(make([]byte, 32))
		swap("another private number", d, flipped(d, len(d)/2))
		swap("another public half", pointOf(&k.PublicKey), s.otherPoint(t, alg))
	}
	return list
}

// otherPoint returns the public key of a fresh key.
func (s *subject) otherPoint(t tb, alg driver.KeyAlgorithm) []byte {
	t.Helper()
	private, err := generatePrivate(alg)
	if err != nil {
		t.Fatalf("making test material for %s: %v", alg, err)
	}
	return pointOf(private.Public().(*ecdsa.PublicKey))
}

// pointOf returns the uncompressed point, 4 ‖ x ‖ y.
func pointOf(key *ecdsa.PublicKey) []byte {
	size := (key.Params().BitSize + 7) / 8
	der, err := keyder.MarshalPublic(key) // ends with the point, also for SM2
	if err != nil {
		panic(err) // cannot fail, because this package generated the key
	}
	return der[len(der)-1-2*size:]
}

// ed25519WithPublic returns a OneAsymmetricKey of version 2 (RFC 8410, 7).
func ed25519WithPublic(seed, public []byte) []byte {
	return slices.Concat([]byte{0x30, 0x51, 2, 1, 1, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20}, seed,
		[]byte{0x81, 0x21, 0}, public)
}

// wrappedImportContradiction imports private keys that parse, but have a fault that shows
// in the public key that the device reports: an RSA key with the modulus of another key,
// or with an unsupported exponent, and a curve's private number that is publicly known.
// They must be Invalid or Authentic, and leave no key.
func wrappedImportContradiction(t tb, s *subject) {
	eachWrapping(t, s, func(d driver.WrappedImporter, w wrapping) {
		for _, row := range s.generated() {
			if row.Spec.Algorithm.Symmetric() || row.Spec.Algorithm.ModulusBits() > 2048 {
				continue
			}
			for what, in := range s.visibleFaults(t, row.Spec.Algorithm) {
				for _, alg := range row.WrappedImport {
					ciphertext, ok := wrap(w.public, alg, in)
					if !ok {
						continue
					}
					k := createdKey{id: freshID(), row: row}
					var err error
					k.created, err = d.ImportWrapped(context.Background(), k.id, row.Spec, driver.Wrapped{With: w.opened, Alg: alg, Ciphertext: ciphertext})
					wantClass(t, err, fmt.Sprintf("%v: ImportWrapped by %s of %s", row.Spec, alg, what), driver.Invalid, driver.Authentic)
					if err == nil {
						s.discard(t, k)
						continue
					}
					_, err = s.OpenKey(context.Background(), k.id, row.Spec, nil)
					wantClass(t, err, fmt.Sprintf("%v: OpenKey after ImportWrapped of %s", row.Spec, what), driver.NotFound)
				}
			}
		}
	})
}

// visibleFaults returns PKCS #8 keys whose faults show in the public key, or in a result
// that the key computes.
func (s *subject) visibleFaults(t tb, alg driver.KeyAlgorithm) map[string][]byte {
	t.Helper()
	switch k := s.material(t, alg).private.(type) {
	case *rsa.PrivateKey:
		other, err := generatePrivate(alg)
		if err != nil {
			t.Fatalf("making test material for %s: %v", alg, err)
		}
		return map[string][]byte{
			"a key with another's modulus": rsaPKCS8(t, k, other.(*rsa.PrivateKey).N, int64(k.E)),
			"a key of exponent 17":         rsaPKCS8(t, k, k.N, 17),
			"a key of exponent 2^32 + 15":  rsaPKCS8(t, k, k.N, 1<<32+15),
		}
	case *ecdsa.PrivateKey:
		size := (k.Params().N.BitLen() + 7) / 8
		return map[string][]byte{
			"the number 1":     ecPKCS8(t, alg, big.NewInt(1).FillBytes(make([]byte, size))),
			"the number n + 1": ecPKCS8(t, alg, new(big.Int).Add(k.Params().N, big.NewInt(1)).FillBytes(make([]byte, size))),
			"the number 0":     ecPKCS8(t, alg, make([]byte, size)),
		}
	}
	return nil
}

// A pkcs8Key is PKCS #8 without attributes.
type pkcs8Key struct {
	Version   int
	Algorithm struct {
		ID         asn1.ObjectIdentifier
		Parameters asn1.RawValue
	}
	Key []byte
}

func marshalPKCS8(t tb, id asn1.ObjectIdentifier, parameters any, inner any) []byte {
	t.Helper()
	var k pkcs8Key
	k.Algorithm.ID, k.Algorithm.Parameters = id, asn1.NullRawValue
	var err error
	if parameters != nil {
		if k.Algorithm.Parameters.FullBytes, err = asn1.Marshal(parameters); err != nil {
			t.Fatalf("encoding test material: %v", err)
		}
	}
	if k.Key, err = asn1.Marshal(inner); err != nil {
		t.Fatalf("encoding test material: %v", err)
	}
	der, err := asn1.Marshal(k)
	if err != nil {
		t.Fatalf("encoding test material: %v", err)
	}
	return der
}

// rsaPKCS8 encodes a key with a modulus and an exponent of choice.
func rsaPKCS8(t tb, k *rsa.PrivateKey, n *big.Int, e int64) []byte {
	t.Helper()
	k.Precompute()
	return marshalPKCS8(t, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, nil, []*big.Int{
		new(big.Int), n, big.NewInt(e), k.D, k.Primes[0], k.Primes[1], k.Precomputed.Dp, k.Precomputed.Dq, k.Precomputed.Qinv})
}

// ecPKCS8 encodes a number on a curve, without a public key.
func ecPKCS8(t tb, alg driver.KeyAlgorithm, number []byte) []byte {
	t.Helper()
	curve := map[driver.KeyAlgorithm]asn1.ObjectIdentifier{
		driver.ECP256: {1, 2, 840, 10045, 3, 1, 7}, driver.ECP384: {1, 3, 132, 0, 34}, driver.ECP521: {1, 3, 132, 0, 35},
	}[alg]
	return marshalPKCS8(t, asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, curve, struct {
		Version int
		Number  []byte
	}{1, number})
}
