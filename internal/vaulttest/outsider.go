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

// This file uses public keys with only the standard library and gmsm, without the vault.

// parse parses a public key.
func parse(t *testing.T, p vault.PublicKey) crypto.PublicKey {
	t.Helper()
	public, err := p.Parse()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// digestOf returns the digest of a message as MessageType DIGEST expects it, or nil for
// Ed25519, which signs no digests.
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

// verifies reports whether a signature of a message verifies, without the vault.
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

// encryptPadded encrypts a message padded as in PKCS #1 v1.5 (RFC 8017, section 7.2.1),
// after spoil may have changed the padded block. It does not use crypto/rsa, which cannot
// make bad padding and refuses this scheme if FIPS 140 is enforced.
func encryptPadded(public *rsa.PublicKey, message []byte, spoil func(block []byte)) []byte {
	block := make([]byte, public.Size())
	for {
		rand.Read(block)
		for i, b := range block {
			block[i] = max(b, 1) // padding has no zero bytes
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
