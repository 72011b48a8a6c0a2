//go:build cgo && unix

package pkcs11

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"hash"
	"math/big"

	"strongroom.example/driver"
)

// answersDecrypt decrypts a ciphertext that the host made. For raw RSA the plaintext is a
// number with leading zeros.
func (o *object) answersDecrypt(s session, alg driver.EncryptAlg, native bool, public crypto.PublicKey) error {
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return errTrial
	}
	text := make([]byte, 32)
	rand.Read(text)
	ciphertext, err := encryptFor(key, alg, text)
	if err != nil {
		return err
	}
	out := make([]byte, key.Size())
	n, err := o.decrypt(s, decryption{alg, native, ciphertext, out})
	if err != nil {
		return err
	}
	if !bytes.HasSuffix(out[:n], text) || n != len(text) && alg != driver.RSARaw {
		return errTrial
	}
	return nil
}

func encryptFor(key *rsa.PublicKey, alg driver.EncryptAlg, text []byte) ([]byte, error) {
	var h hash.Hash
	switch alg {
	case driver.RSARaw:
		c := new(big.Int).Exp(new(big.Int).SetBytes(text), big.NewInt(int64(key.E)), key.N)
		return c.FillBytes(make([]byte, key.Size())), nil
	case driver.RSAOAEPSHA1:
		h = sha1.New()
	default:
		h = sha256.New()
	}
	return rsa.EncryptOAEP(h, rand.Reader, key, text, nil)
}
