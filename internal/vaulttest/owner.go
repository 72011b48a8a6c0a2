package vaulttest

import (
	"crypto"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/vault"
)

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
