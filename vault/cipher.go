package vault

import (
	"crypto/cipher"

	"strongroom.example/internal/suite"
)

// dataCipher is the cipher.AEAD of a data key.
type dataCipher struct{ key *DataKey }

var _ cipher.AEAD = dataCipher{}

// NonceSize returns 0, because Seal makes the nonce and puts it in front of its output.
func (dataCipher) NonceSize() int { return 0 }

// Overhead returns the length of nonce and tag.
func (dataCipher) Overhead() int { return suite.Overhead }

// Seal panics if the data key was destroyed or if a nonce is given, because cipher.AEAD has
// no error result here. It does not fail otherwise.
func (c dataCipher) Seal(dst, nonce, plaintext, additionalData []byte) []byte {
	checkNonce(nonce)
	a, err := c.key.acquireCipher()
	if err != nil {
		panic("strongroom: use of a destroyed data key")
	}
	defer c.key.giveBack()
	out, err := a.Seal(dst, plaintext, additionalData)
	if err != nil {
		panic("strongroom: the data key's cipher does not seal") // cannot happen: randomness and the sizes do not fail
	}
	return out
}

// Open returns ErrClosed if the data key was destroyed, and ErrCiphertext for every fault
// of the ciphertext. It panics if a nonce is given.
func (c dataCipher) Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error) {
	checkNonce(nonce)
	a, err := c.key.acquireCipher()
	if err != nil {
		return nil, wrap("OpenData", c.key.key, err)
	}
	defer c.key.giveBack()
	out, err := a.Open(dst, ciphertext, additionalData)
	if err != nil {
		return nil, &Error{Op: "OpenData", Key: c.key.key, Err: ErrCiphertext}
	}
	return out, nil
}

func checkNonce(nonce []byte) {
	if len(nonce) != 0 {
		panic("strongroom: the nonce of a data key's cipher must be empty")
	}
}
