package soft

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"testing"
)

func newRaw(t *testing.T, bits int) (*rsa.PrivateKey, *rawRSA) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := newRawRSA(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, raw
}

// TestRawRSA compares the result with math/big, at the edges of the range and at
// multiples of the factors, whose residues are zero.
func TestRawRSA(t *testing.T) {
	key, raw := newRaw(t, 2048)
	one := big.NewInt(1)
	ciphertexts := []*big.Int{new(big.Int), one, new(big.Int).Sub(key.N, one), key.Primes[0], key.Primes[1]}
	for range 32 {
		c, err := rand.Int(rand.Reader, key.N)
		if err != nil {
			t.Fatal(err)
		}
		ciphertexts = append(ciphertexts, c)
	}
	for _, c := range ciphertexts {
		want := new(big.Int).Exp(c, key.D, key.N)
		got, err := raw.decrypt(c.FillBytes(make([]byte, 256)))
		if err != nil || len(got) != 256 || new(big.Int).SetBytes(got).Cmp(want) != 0 {
			t.Errorf("decrypt of a ciphertext of %d bits: %v", c.BitLen(), err)
		}
	}
	for _, c := range [][]byte{nil, make([]byte, 255), make([]byte, 257), key.N.Bytes()} {
		if _, err := raw.decrypt(c); err != errRange {
			t.Errorf("decrypt of %d bytes out of range: %v", len(c), err)
		}
	}
}

// TestRawRSAComputingFault corrupts each half of the computation. decrypt must not return
// the wrong result, from which the factors could be computed.
func TestRawRSAComputingFault(t *testing.T) {
	for _, half := range []func(*rawRSA) []byte{
		func(k *rawRSA) []byte { return k.dP },
		func(k *rawRSA) []byte { return k.dQ },
	} {
		_, raw := newRaw(t, 2048)
		c := make([]byte, 256)
		rand.Read(c[1:])
		if _, err := raw.decrypt(c); err != nil {
			t.Fatal(err)
		}
		half(raw)[40] ^= 4
		if out, err := raw.decrypt(c); !errors.Is(err, errComputing) || out != nil {
			t.Errorf("decrypt with a corrupted exponent: %d bytes, %v", len(out), err)
		}
	}
}
