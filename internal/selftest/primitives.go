package selftest

import (
	"golang.org/x/crypto/argon2"

	"strongroom.example/internal/keywrap"
	"strongroom.example/internal/suite"
)

// primitives are the functions under test. Tests of this package replace some of them by
// broken ones.
type primitives struct {
	id        suite.ID
	newAEAD   func(key []byte) (aead, error)
	hash      func(parts ...[]byte) [suite.HashSize]byte
	mac       func(key []byte, parts ...[]byte) [suite.HashSize]byte
	kdf       func(dst, key []byte, label string, context []byte)
	pbkdf2    func(password, salt []byte, iterations, n int) []byte
	argon2id  func(password, salt []byte, time, memory uint32, threads uint8, n uint32) []byte
	publicKey func(seed []byte) ([]byte, error)
	sign      func(seed, message []byte) ([]byte, error)
	verify    func(public, message, signature []byte) bool
	wrap      func(dst, key, material []byte) ([]byte, error)
	unwrap    func(dst, key, wrapped []byte) ([]byte, error)
}

// aead is a suite.AEAD.
type aead interface {
	Seal(dst, plaintext, aad []byte) ([]byte, error)
	Open(dst, sealed, aad []byte) ([]byte, error)
	Wipe()
}

// primitivesOf returns the primitives that a vault of the suite uses.
func primitivesOf(id suite.ID) primitives {
	return primitives{
		id:        id,
		newAEAD:   func(key []byte) (aead, error) { return id.NewDataAEAD(key) },
		hash:      id.Hash,
		mac:       id.MAC,
		kdf:       id.KDF,
		pbkdf2:    id.PBKDF2,
		argon2id:  argon2.IDKey,
		publicKey: id.PublicKey,
		sign:      id.Sign,
		verify:    id.Verify,
		wrap:      keywrap.Wrap,
		unwrap:    keywrap.Unwrap,
	}
}
