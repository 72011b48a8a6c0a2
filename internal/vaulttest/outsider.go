package vaulttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"math/big"
	"testing"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver/drivertest"
	"strongroom.example/vault"
)

// An outsider has a public key, the standard library and gmsm, and no vault.

// parse reads a public key.
func parse(t *testing.T, p vault.PublicKey) crypto.PublicKey {
	t.Helper()
	public, err := p.Parse()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// digestOf returns what DIGEST takes for a message; nil for Ed25519, which takes none.
func digestOf(t *testing.T, a signAlg, public crypto.PublicKey, message []byte) []byte {
	t.Helper()
	switch {
	case a.alg == vault.SM2DSA:
		e, err := sm2.CalculateSM2Hash(public.(*ecdsa.PublicKey), message, []byte(vault.SM2DefaultID))
		if err != nil {
			t.Fatal(err)
		}
		return e
	case a.hash == 0:
		return nil
	}
	h := a.hash.New()
	h.Write(message)
	return h.Sum(nil)
}

// verifies reports whether an outsider takes the signature for the message.
func verifies(t *testing.T, a signAlg, public crypto.PublicKey, message, signature []byte) bool {
	t.Helper()
	digest := digestOf(t, a, public, message)
	switch key := public.(type) {
	case *rsa.PublicKey:
		if a.device.IsPSS() {
			o := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return rsa.VerifyPSS(key, a.hash, digest, signature, o) == nil
		}
		return rsa.VerifyPKCS1v15(key, a.hash, digest, signature) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(key, message, signature)
	case *ecdsa.PublicKey:
		if a.alg == vault.SM2DSA {
			return sm2.VerifyASN1(key, digest, signature)
		}
		return ecdsa.VerifyASN1(key, digest, signature)
	}
	t.Fatalf("a public key of type %T", public)
	return false
}

// encryptTo encrypts a message to a public key.
func encryptTo(t *testing.T, alg vault.EncryptionAlgorithm, public crypto.PublicKey, message []byte) []byte {
	t.Helper()
	var ct []byte
	var err error
	switch alg {
	case vault.RSAESOAEPSHA256:
		ct, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), message, nil)
	case vault.RSAESOAEPSHA1:
		ct, err = rsa.EncryptOAEP(sha1.New(), rand.Reader, public.(*rsa.PublicKey), message, nil)
	case vault.RSAESPKCS1V15:
		ct = encryptPadded(public.(*rsa.PublicKey), message, func([]byte) {})
	case vault.SM2C1C3C2:
		ct, err = drivertest.EncryptSM2(public.(*ecdsa.PublicKey), message)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ct
}

// encryptPadded encrypts a message padded after PKCS #1 v1.5 (RFC 8017, 7.2.1), which
// spoil may have changed before. It is written out, since the standard library makes
// no bad padding and refuses the good where FIPS 140 is enforced.
func encryptPadded(public *rsa.PublicKey, message []byte, spoil func(block []byte)) []byte {
	block := make([]byte, public.Size())
	for {
		rand.Read(block)
		for i, b := range block {
			block[i] = max(b, 1) // padding has no zeros
		}
		block[0], block[1], block[len(block)-len(message)-1] = 0, 2, 0
		copy(block[len(block)-len(message):], message)
		spoil(block)
		if m := new(big.Int).SetBytes(block); m.Cmp(public.N) < 0 {
			c := m.Exp(m, big.NewInt(int64(public.E)), public.N)
			return c.FillBytes(make([]byte, public.Size()))
		}
	}
}
