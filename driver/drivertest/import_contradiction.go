package drivertest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"math/big"
	"slices"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/driver"
)

// importContradiction imports private keys whose parts belong to two keys. Such a key is
// Invalid, because a vault binds a CMK permanently to the first key that it is given.
func importContradiction(t tb, s *subject) {
	for _, row := range s.importable() {
		if symmetric(row.Spec.Algorithm) {
			continue
		}
		for what, in := range s.contradictions(t, row.Spec.Algorithm) {
			id := freshID()
			created, err := s.Driver.(driver.Importer).ImportKey(context.Background(), id, row.Spec, in)
			wantClass(t, err, fmt.Sprintf("%v: ImportKey of a key with %s", row.Spec, what), driver.Invalid)
			if err == nil {
				s.discard(t, key{id: id, row: row, created: created})
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
	der, err := smx509.MarshalPKIXPublicKey(key) // ends with the point, also for SM2
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
