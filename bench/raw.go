package bench

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
)

// Raw is the cryptography of an operation alone: AES-256-GCM under one key that was
// prepared before. It is safe for concurrent use.
type Raw struct{ aead cipher.AEAD }

// NewRaw returns a Raw with a fresh key.
func NewRaw() (*Raw, error) {
	key := make([]byte, 32)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return &Raw{aead: aead}, nil
}

// Seal encrypts plaintext; it is the baseline of Encrypt.
func (r *Raw) Seal(plaintext []byte) []byte {
	return r.aead.Seal(nil, nil, plaintext, nil)
}

// Open decrypts the result of Seal; it is the baseline of Decrypt.
func (r *Raw) Open(sealed []byte) ([]byte, error) {
	return r.aead.Open(nil, nil, sealed, nil)
}

// DataKey draws 32 random bytes and encrypts them; it is the baseline of GenerateDataKey.
func (r *Raw) DataKey() (key, sealed []byte) {
	key = make([]byte, 32)
	rand.Read(key)
	return key, r.Seal(key)
}
