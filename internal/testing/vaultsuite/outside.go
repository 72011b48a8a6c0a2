package vaultsuite

import (
	"crypto"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/internal/sm2ciphertext"
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
		ct, err = sm2ciphertext.Encrypt(public.(*ecdsa.PublicKey), message)
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

// This file makes an owner's key material, without the vault.

// material is the key material of an owner: raw bytes, or a private key as PKCS #8.
type material struct {
	plain  []byte
	public crypto.PublicKey // nil if the key is symmetric
}

// newMaterial makes material for a row. size is the length of symmetric material.
func newMaterial(t *testing.T, r row, size int) material {
	t.Helper()
	if r.usage == vault.EncryptDecrypt || r.usage == vault.GenerateVerifyMac {
		plain := make([]byte, size)
		rand.Read(plain)
		return material{plain: plain}
	}
	key, err := newPrivateKey(r)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := smx509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return material{plain, key.Public()}
}

func newPrivateKey(r row) (crypto.Signer, error) {
	switch r.spec {
	case vault.ECCP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case vault.ECCP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case vault.ECCP521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case vault.Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case vault.SM2:
		return sm2.GenerateKey(rand.Reader)
	}
	return rsa.GenerateKey(rand.Reader, r.bits())
}

// wrap wraps material as the import parameters require.
func wrap(t *testing.T, p vault.ImportParameters, plain []byte) []byte {
	t.Helper()
	public := parse(t, p.PublicKey)
	switch p.Algorithm {
	case vault.WrapRSAESOAEPSHA256:
		return encryptTo(t, vault.RSAESOAEPSHA256, public, plain)
	case vault.WrapRSAESOAEPSHA1:
		return encryptTo(t, vault.RSAESOAEPSHA1, public, plain)
	case vault.WrapRSAESPKCS1V15:
		return encryptTo(t, vault.RSAESPKCS1V15, public, plain)
	case vault.WrapSM2:
		return encryptTo(t, vault.SM2C1C3C2, public, plain)
	case vault.WrapRSAAESSHA256, vault.WrapRSAAESSHA1:
		alg := vault.RSAESOAEPSHA256
		if p.Algorithm == vault.WrapRSAAESSHA1 {
			alg = vault.RSAESOAEPSHA1
		}
		key := make([]byte, 32)
		rand.Read(key)
		return append(encryptTo(t, alg, public, key), wrapPadded(t, key, plain)...)
	}
	t.Fatalf("wrapping algorithm %q", p.Algorithm)
	return nil
}

// wrapPadded implements AES key wrap with padding (RFC 5649, section 4.1) for more than
// eight bytes.
func wrapPadded(t *testing.T, key, plain []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	n := (len(plain) + 7) / 8
	out := make([]byte, 8*(n+1))
	copy(out, []byte{0xA6, 0x59, 0x59, 0xA6})
	binary.BigEndian.PutUint32(out[4:], uint32(len(plain)))
	copy(out[8:], plain)
	var b [16]byte
	copy(b[:8], out)
	for step := uint64(1); step <= uint64(6*n); step++ {
		half := out[8*((int(step)-1)%n+1):][:8]
		copy(b[8:], half)
		block.Encrypt(b[:], b[:])
		copy(half, b[8:])
		binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(b[:8])^step)
	}
	copy(out, b[:8])
	return out
}
