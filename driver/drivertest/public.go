package drivertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
	"strongroom.example/internal/keyder"
	"strongroom.example/internal/sm2ciphertext"
)

// parsePublic parses SubjectPublicKeyInfo and checks that it is of the algorithm.
func parsePublic(alg driver.KeyAlgorithm, der []byte) (crypto.PublicKey, error) {
	public, err := keyder.ParsePublic(der)
	if err != nil {
		return nil, fmt.Errorf("PublicDER: %w", err)
	}
	return public, fits(alg, public)
}

var errSignature = errors.New("the signature does not verify")

// verify verifies a signature with the standard library, or with gmsm for SM2.
func verify(public crypto.PublicKey, alg driver.SignAlg, input, signature []byte) error {
	good := false
	switch key := public.(type) {
	case *rsa.PublicKey:
		hash := alg.Hash()
		if alg.IsPSS() {
			options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return rsa.VerifyPSS(key, hash, input, signature, options)
		}
		return rsa.VerifyPKCS1v15(key, hash, input, signature)
	case *ecdsa.PublicKey:
		if alg == driver.SM2DSA {
			good = sm2.VerifyASN1(key, input, signature)
		} else {
			good = ecdsa.VerifyASN1(key, input, signature)
		}
	case ed25519.PublicKey:
		good = ed25519.Verify(key, input, signature)
	}
	if !good {
		return errSignature
	}
	return nil
}

// signInput returns random input of the length that an algorithm takes.
func signInput(alg driver.SignAlg) []byte {
	n := alg.DigestSize()
	if alg.TakesMessage() {
		n = 100
	}
	return randomBytes(n)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// encrypt returns a random plaintext of a suitable length and its ciphertext.
func encrypt(public crypto.PublicKey, alg driver.EncryptAlg) (plaintext, ciphertext []byte, err error) {
	return encryptBytes(public, alg, 32)
}

// plaintextSizes returns lengths that an algorithm can encrypt, including the shortest
// and the longest. RSARaw has one length.
func plaintextSizes(public crypto.PublicKey, alg driver.EncryptAlg) []int {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if alg == driver.RSARaw {
			return []int{key.Size()}
		}
		return []int{0, 1, 32, key.Size() - 2*oaepHash(alg).Size() - 2}
	default:
		return []int{1, 32, 256}
	}
}

// encryptBytes encrypts size random bytes. For RSARaw the size is fixed.
func encryptBytes(public crypto.PublicKey, alg driver.EncryptAlg, size int) (plaintext, ciphertext []byte, err error) {
	plaintext = randomBytes(size)
	switch key := public.(type) {
	case *rsa.PublicKey:
		if alg == driver.RSARaw {
			plaintext, ciphertext = encryptRaw(key)
			return plaintext, ciphertext, nil
		}
		ciphertext, err = rsa.EncryptOAEP(oaepHash(alg), rand.Reader, key, plaintext, nil)
	case *ecdsa.PublicKey:
		ciphertext, err = sm2ciphertext.Encrypt(key, plaintext)
	default:
		err = fmt.Errorf("%T does not encrypt", public)
	}
	return plaintext, ciphertext, err
}

// EncryptSM2 encrypts as an external sender does, for tests: ASN.1, C1 C3 C2.
func EncryptSM2(key *ecdsa.PublicKey, plaintext []byte) ([]byte, error) {
	return sm2ciphertext.Encrypt(key, plaintext)
}

// encryptRaw returns m^e mod n by math/big. m has leading zeros, to detect drivers that
// drop them.
func encryptRaw(key *rsa.PublicKey) (plaintext, ciphertext []byte) {
	plaintext = randomBytes(key.Size())
	plaintext[0], plaintext[1] = 0, 0
	m := new(big.Int).SetBytes(plaintext)
	m.Exp(m, big.NewInt(int64(key.E)), key.N)
	return plaintext, m.FillBytes(make([]byte, key.Size()))
}

// fits returns an error unless a public key is of the algorithm.
func fits(alg driver.KeyAlgorithm, public crypto.PublicKey) error {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() == alg.ModulusBits() {
			return nil
		}
	case *ecdsa.PublicKey:
		if key.Curve == alg.Curve() || alg == driver.SM2 && key.Curve == sm2.P256() {
			return nil
		}
	case ed25519.PublicKey:
		if alg == driver.Ed25519 {
			return nil
		}
	}
	return fmt.Errorf("a public key of type %T does not fit the algorithm %s", public, alg)
}
