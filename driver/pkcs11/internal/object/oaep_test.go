//go:build cgo && unix

package object

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"hash"
	"math/big"
	"testing"

	"strongroom.example/driver"
)

// block encrypts with the standard library and undoes the RSA operation, which leaves the
// padded message.
func block(t *testing.T, key *rsa.PrivateKey, alg driver.EncryptAlg, message []byte) []byte {
	t.Helper()
	var h hash.Hash = sha256.New()
	if alg == driver.RSAOAEPSHA1 {
		h = sha1.New()
	}
	c, err := rsa.EncryptOAEP(h, rand.Reader, &key.PublicKey, message, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := new(big.Int).Exp(new(big.Int).SetBytes(c), key.D, key.N)
	return m.FillBytes(make([]byte, key.Size()))
}

// TestUnpadOAEP unpads messages of every length that the standard library padded, and
// refuses them if any one byte is changed.
func TestUnpadOAEP(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for alg, most := range map[driver.EncryptAlg]int{driver.RSAOAEPSHA1: 214, driver.RSAOAEPSHA256: 190} {
		for _, n := range []int{0, 1, 2, 31, 32, 100, most - 1, most} {
			message := make([]byte, n)
			rand.Read(message)
			padded := block(t, key, alg, message)
			if got, err := unpadOAEP(alg, bytes.Clone(padded)); err != nil || !bytes.Equal(got, message) {
				t.Errorf("unpadOAEP, %s: a message of %d bytes: %v, or another message", alg, n, err)
			}
		}
		padded := block(t, key, alg, make([]byte, 16))
		for i := range padded {
			spoiled := bytes.Clone(padded)
			spoiled[i] ^= 1
			if got, err := unpadOAEP(alg, spoiled); err == nil {
				t.Errorf("unpadOAEP, %s: with byte %d changed it returned %x, want an error", alg, i, got)
			}
		}
		for _, n := range []int{0, 1, 41, 65} {
			if _, err := unpadOAEP(alg, make([]byte, n)); err == nil {
				t.Errorf("unpadOAEP, %s: a block of %d bytes returned no error", alg, n)
			}
		}
	}
}

// TestSeparator tests the search for the end of the padding.
func TestSeparator(t *testing.T) {
	for padding, want := range map[string][2]int{
		"\x01":             {0, 1},
		"\x00\x00\x01abc":  {2, 1},
		"\x00\x01\x01\x00": {1, 1},
		"":                 {0, 0},
		"\x00\x00":         {0, 0},
		"\x02\x01":         {0, 0},
		"\x00\x80\x01":     {0, 0},
	} {
		at, found := separator([]byte(padding))
		if found != want[1] || found == 1 && at != want[0] {
			t.Errorf("%x: %d, %d, want %v", padding, at, found, want)
		}
	}
}
