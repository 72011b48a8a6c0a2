package drivertest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
)

// importable returns the advertised specs that can be imported in the clear.
func (s *subject) importable() []driver.SpecInfo {
	return slices.DeleteFunc(s.generated(), func(row driver.SpecInfo) bool { return !row.Import })
}

// encoded returns the shared test material of an algorithm in its import encoding.
func (s *subject) encoded(t tb, alg driver.KeyAlgorithm) []byte {
	t.Helper()
	in, err := s.material(t, alg).encode()
	if err != nil {
		t.Fatalf("%s: encoding test material: %v", alg, err)
	}
	return in
}

// importRoundTrip imports material, wipes it as a caller does, and uses the key.
func importRoundTrip(t tb, s *subject) {
	for _, row := range s.importable() {
		in := s.encoded(t, row.Spec.Algorithm)
		k := importKey(t, s.Driver, row, in)
		clear(in)
		works(t, s.Driver, k, "imported")
		if row.Spec.Usage == driver.Derive {
			prfAnswers(t, openKey[driver.PRF](t, s.Driver, k), k, s.material(t, row.Spec.Algorithm).raw)
		}
		want, err := s.material(t, row.Spec.Algorithm).public()
		if err != nil || !samePublic(row.Spec.Algorithm, want, k.created.PublicDER) {
			t.Errorf("%v: PublicDER is not the public key of the material (%v)", row.Spec, err)
		}
		s.discard(t, k)
	}
}

// samePublic compares the keys, not their encodings.
func samePublic(alg driver.KeyAlgorithm, a, b []byte) bool {
	if alg.Symmetric() {
		return len(a) == 0 && len(b) == 0
	}
	x, errX := parsePublic(alg, a)
	y, errY := parsePublic(alg, b)
	equal, ok := x.(interface{ Equal(crypto.PublicKey) bool })
	return errX == nil && errY == nil && ok && equal.Equal(y)
}

// importRepeatable imports the same material twice under one id.
func importRepeatable(t tb, s *subject) {
	for _, row := range s.importable() {
		in := s.encoded(t, row.Spec.Algorithm)
		k := importKey(t, s.Driver, row, in)
		again, err := s.Driver.(driver.Importer).ImportKey(context.Background(), k.id, row.Spec, in)
		if err != nil {
			t.Errorf("%v: ImportKey under the same id again: %v", row.Spec, err)
		} else {
			k.created = again
			works(t, s.Driver, k, "imported twice")
		}
		s.discard(t, k)
	}
}

func importWrongLength(t tb, s *subject) {
	for _, row := range s.importable() {
		good := s.encoded(t, row.Spec.Algorithm)
		wrong := [][]byte{nil, {}, {1}, good[:len(good)-1], append(slices.Clone(good), 0), randomBytes(24), randomBytes(80)}
		for _, n := range []int{16, 28, 32, 48, 64} {
			if row.Spec.Algorithm.Symmetric() && !row.Spec.Algorithm.FitsMaterial(n) {
				wrong = append(wrong, randomBytes(n))
			}
		}
		if !row.Spec.Algorithm.Symmetric() {
			wrong = append(wrong, randomBytes(len(good)), s.encoded(t, otherAlgorithm(row.Spec.Algorithm)))
		}
		for _, material := range wrong {
			id := freshID()
			created, err := s.Driver.(driver.Importer).ImportKey(context.Background(), id, row.Spec, material)
			wantClass(t, err, fmt.Sprintf("%v: importing %d wrong bytes", row.Spec, len(material)), driver.Invalid)
			if err == nil {
				s.discard(t, createdKey{id: id, row: row, created: created})
			}
		}
	}
}

// otherAlgorithm returns an algorithm of another kind whose keys are cheap to generate.
func otherAlgorithm(alg driver.KeyAlgorithm) driver.KeyAlgorithm {
	if alg == driver.ECP256 {
		return driver.Ed25519
	}
	return driver.ECP256
}

// blobHidesMaterial searches the results of an import for parts of the secrets, in binary
// and in hexadecimal.
func blobHidesMaterial(t tb, s *subject) {
	for _, row := range s.importable() {
		k := importKey(t, s.Driver, row, s.encoded(t, row.Spec.Algorithm))
		shown := slices.Concat(k.created.Blob, k.created.PublicDER)
		for name, value := range k.created.Attributes {
			shown = slices.Concat(shown, []byte(name), []byte(value))
		}
		for _, secret := range secrets(s.material(t, row.Spec.Algorithm)) {
			if shows(shown, secret) {
				t.Errorf("%v: the result of ImportKey contains part of the material", row.Spec)
			}
		}
		s.discard(t, k)
	}
}

// shows reports whether b contains any 8 consecutive bytes of a secret.
func shows(b, secret []byte) bool {
	lower := bytes.ToLower(b)
	for part := range slices.Chunk(secret, 8) {
		text := hex.AppendEncode(nil, part)
		if len(part) == 8 && (bytes.Contains(b, part) || bytes.Contains(lower, text)) {
			return true
		}
	}
	return false
}

// secrets returns the secret numbers of material.
func secrets(m keyMaterial) [][]byte {
	switch private := m.private.(type) {
	case *rsa.PrivateKey:
		return bytesOf(private.D, private.Primes[0], private.Primes[1])
	case *ecdsa.PrivateKey:
		d, err := private.Bytes()
		if err != nil {
			panic(err) // cannot fail, because this package generated the key
		}
		return [][]byte{d}
	case *sm2.PrivateKey:
		return bytesOf(private.D)
	case ed25519.PrivateKey:
		return [][]byte{private.Seed()}
	}
	return [][]byte{m.raw}
}

func bytesOf(numbers ...*big.Int) [][]byte {
	var list [][]byte
	for _, n := range numbers {
		list = append(list, n.Bytes())
	}
	return list
}
