package drivertest

import (
	"bytes"
	"context"
	"crypto"

	"strongroom.example/driver"
)

// An untouched is an input with spare capacity, and a copy of both. A driver must write
// neither to the input nor to its capacity.
type untouched struct {
	name       string
	given, was []byte
}

func guard(name string, input []byte) *untouched {
	given := append(bytes.Clone(input), bytes.Repeat([]byte{0xA5}, 64)...)
	return &untouched{name: name, given: given[:len(input)], was: bytes.Clone(given)}
}

func (u *untouched) check(t tb) {
	t.Helper()
	if !bytes.Equal(u.given[:cap(u.given)][:len(u.was)], u.was) {
		t.Errorf("%s was modified, or written beyond its end", u.name)
	}
}

// inputNotModified checks each input of each method for modifications.
func inputNotModified(t tb, s *subject) {
	for _, row := range s.generated() {
		k := s.key(t, row)
		blob := guard("the blob for OpenKey", k.created.Blob)
		k.created.Blob = blob.given
		opened := openKey[driver.Key](t, s.Driver, k)
		blob.check(t)
		clear(blob.given)
		if err := use(context.Background(), s.key(t, row), opened); err != nil {
			t.Errorf("%v: use of the key after the caller wiped its blob: %v", row.Spec, err)
		}
		closeKey(t, opened)
	}
	for _, row := range s.importable() {
		in := guard("the material for ImportKey", s.encoded(t, row.Spec.Algorithm))
		k := importKey(t, s.Driver, row, in.given)
		in.check(t)
		s.discard(t, k)
	}
	prfInputs(t, s)
	aeadInputs(t, s)
	signerInputs(t, s)
	decrypterInputs(t, s)
}

func prfInputs(t tb, s *subject) {
	for _, row := range s.rows(driver.Derive) {
		k := sharedKey[driver.PRF](t, s, row)
		in := guard("the input of PRF", randomBytes(60))
		if _, err := k.PRF(context.Background(), nil, in.given); err != nil {
			t.Errorf("%v: PRF: %v", row.Spec, err)
		}
		in.check(t)
		closeKey(t, k)
	}
}

func aeadInputs(t tb, s *subject) {
	eachAEAD(t, s, func(k driver.AEAD) {
		plaintext, aad := guard("the plaintext of Seal", randomBytes(60)), guard("the aad of Seal", randomBytes(20))
		ciphertext := guard("the ciphertext of Open", seal(t, k, plaintext.given, aad.given))
		for _, wrong := range []bool{false, true} {
			if wrong {
				ciphertext = guard("the wrong ciphertext of Open", flipped(ciphertext.given, 20))
			}
			_, err := k.Open(context.Background(), nil, ciphertext.given, aad.given)
			if (err != nil) != wrong {
				t.Errorf("Open: %v", err)
			}
			ciphertext.check(t)
		}
		plaintext.check(t)
		aad.check(t)
	})
}

func signerInputs(t tb, s *subject) {
	for _, row := range s.rows(driver.Sign) {
		k := sharedKey[driver.Signer](t, s, row)
		for _, alg := range row.Sign {
			in := guard("the input of Sign", signInput(alg))
			if _, err := k.Sign(context.Background(), alg, in.given); err != nil {
				t.Errorf("%v: Sign: %v", row.Spec, err)
			}
			in.check(t)
		}
		closeKey(t, k)
	}
}

func decrypterInputs(t tb, s *subject) {
	eachDecrypter(t, s, func(k driver.Decrypter, public crypto.PublicKey, alg driver.EncryptAlg) {
		_, ciphertext := mustEncrypt(t, public, alg)
		in := guard("the ciphertext of Decrypt", ciphertext)
		if _, err := k.Decrypt(context.Background(), nil, alg, in.given); err != nil {
			t.Errorf("%s: Decrypt: %v", alg, err)
		}
		in.check(t)
	})
}
