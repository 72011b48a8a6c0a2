package drivertest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/asn1"
	"hash"
	"math/big"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
)

// signOptions returns what a crypto.Signer wants to know of an algorithm.
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

// rawRSA is c^d mod n. It is not constant in time, which a test double need not be.
func rawRSA(key *rsa.PrivateKey, ciphertext []byte) ([]byte, error) {
	c := new(big.Int).SetBytes(ciphertext)
	if len(ciphertext) != key.Size() || c.Cmp(key.N) >= 0 {
		return nil, errCiphertext
	}
	return c.Exp(c, key.D, key.N).FillBytes(make([]byte, key.Size())), nil
}

// sm2Ciphertext is the SEQUENCE of GM/T 0009.
type sm2Ciphertext struct {
	X, Y *big.Int
	Hash []byte
	Data []byte
}

// decryptSM2 takes ASN.1 only, and only as DER writes it: gmsm also takes plain
// forms, told apart by the first byte.
func decryptSM2(key *sm2.PrivateKey, ciphertext []byte) ([]byte, error) {
	var c sm2Ciphertext
	rest, err := asn1.Unmarshal(ciphertext, &c)
	if err != nil || len(rest) != 0 || len(c.Data) == 0 {
		return nil, errCiphertext
	}
	return key.Decrypt(nil, ciphertext, nil)
}
