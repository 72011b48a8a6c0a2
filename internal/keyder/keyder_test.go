package keyder

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

// keys returns a private key of each algorithm of CMKs.
func keys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	r, err1 := rsa.GenerateKey(rand.Reader, 2048)
	e, err2 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, d, err3 := ed25519.GenerateKey(rand.Reader)
	s, err4 := sm2.GenerateKey(rand.Reader)
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return map[string]crypto.Signer{"RSA": r, "EC": e, "Ed25519": d, "SM2": s}
}

// TestSameBytes compares the encodings with those of smx509, which earlier versions stored.
func TestSameBytes(t *testing.T) {
	for name, key := range keys(t) {
		want, err1 := smx509.MarshalPKIXPublicKey(key.Public())
		got, err2 := MarshalPublic(key.Public())
		if err1 != nil || err2 != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: MarshalPublic is %x, %v, want %x, %v", name, got, err2, want, err1)
		}
		public, err := ParsePublic(want)
		if err != nil || !public.(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
			t.Errorf("%s: ParsePublic is %v, %v", name, public, err)
		}
		want, err1 = smx509.MarshalPKCS8PrivateKey(key)
		got, err2 = MarshalPrivate(key)
		if err1 != nil || err2 != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: MarshalPrivate differs from smx509: %v, %v", name, err2, err1)
		}
		private, err := ParsePrivate(want)
		if err != nil || !private.(interface{ Equal(crypto.PrivateKey) bool }).Equal(key) {
			t.Errorf("%s: ParsePrivate: another key, %v", name, err)
		}
	}
}

// TestSM2Algorithm parses a public key whose algorithm is named as in GM/T 0010.
func TestSM2Algorithm(t *testing.T) {
	key, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := MarshalPublic(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	der = bytes.Replace(der, []byte("\x06\x07"+oidEC), []byte("\x06\x08"+oidSM2), 1)
	der[1], der[3] = der[1]+1, der[3]+1
	public, err := ParsePublic(der)
	if err != nil || !key.PublicKey.Equal(public) {
		t.Errorf("ParsePublic is %v, %v", public, err)
	}
}

// TestMalformed changes and cuts every byte of the encodings of an SM2 key: each is an error
// or another key, and no panic.
func TestMalformed(t *testing.T) {
	key, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := MarshalPublic(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	private, err := MarshalPrivate(key)
	if err != nil {
		t.Fatal(err)
	}
	for i := range public {
		if got, err := ParsePublic(public[:i]); err == nil {
			t.Errorf("the first %d bytes of a public key are %v", i, got)
		}
		changed := bytes.Clone(public)
		changed[i] ^= 1
		if got, err := ParsePublic(changed); err == nil && key.PublicKey.Equal(got) {
			t.Errorf("a public key whose byte %d is changed is the same key", i)
		}
	}
	for i := range private {
		if _, err := ParsePrivate(private[:i]); err == nil {
			t.Errorf("the first %d bytes of a private key are one", i)
		}
	}
	for _, der := range [][]byte{append(bytes.Clone(public), 0), public[:len(public)-1]} {
		if _, err := ParsePublic(der); err == nil {
			t.Errorf("ParsePublic accepts %x", der)
		}
	}
	if _, err := ParsePrivate(append(private, 0)); err == nil {
		t.Error("ParsePrivate accepts a byte after the key")
	}
}
