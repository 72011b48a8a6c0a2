package sm2ciphertext

import (
	"crypto/ecdsa"
	"crypto/rand"

	"github.com/emmansun/gmsm/sm2"
)

// Encrypt encrypts plaintext of at least one byte to a public key, in the form that Parse
// accepts, with the first nonce that is drawn. If the mask is all zeros, which happens once in
// 256 times for one byte, gmsm v0.44.1 draws another nonce but keeps the point of the first, so
// that the ciphertext cannot be decrypted. Encrypt retries in that case.
func Encrypt(key *ecdsa.PublicKey, plaintext []byte) ([]byte, error) {
	for {
		draws := counter{}
		ciphertext, err := sm2.EncryptASN1(&draws, key, plaintext)
		if err != nil || draws.nonces == 1 || len(plaintext) == 0 {
			return ciphertext, err
		}
	}
}

// counter is the system's random source, which counts the nonces drawn.
type counter struct{ nonces int }

func (c *counter) Read(p []byte) (int, error) {
	if len(p) == FieldSize {
		c.nonces++
	}
	return rand.Read(p)
}
