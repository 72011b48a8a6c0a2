package drivertest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"hash"
	"math/big"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
	"strongroom.example/internal/sm2ciphertext"
)

// signOptions returns the crypto.SignerOpts of an algorithm.
func signOptions(alg driver.SignAlg) crypto.SignerOpts {
	if alg.IsPSS() {
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: alg.Hash()}
	}
	return alg.Hash()
}

// oaepHash returns the hash of an OAEP algorithm.
func oaepHash(alg driver.EncryptAlg) hash.Hash {
	if alg == driver.RSAOAEPSHA1 {
		return sha1.New()
	}
	return sha256.New()
}

// rawRSA returns c^d mod n. It is not constant-time, which a test double need not be.
func rawRSA(key *rsa.PrivateKey, ciphertext []byte) ([]byte, error) {
	c := new(big.Int).SetBytes(ciphertext)
	if len(ciphertext) != key.Size() || c.Cmp(key.N) >= 0 {
		return nil, errCiphertext
	}
	return c.Exp(c, key.D, key.N).FillBytes(make([]byte, key.Size())), nil
}

// decryptSM2 accepts the form of SM2ASN1 only. gmsm also accepts raw forms, which it
// distinguishes by the first byte.
func decryptSM2(key *sm2.PrivateKey, ciphertext []byte) ([]byte, error) {
	if _, ok := sm2ciphertext.Parse(ciphertext); !ok {
		return nil, errCiphertext
	}
	return key.Decrypt(nil, ciphertext, nil)
}
