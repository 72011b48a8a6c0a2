//go:build cgo && unix

package object

import (
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/asn1"
	"math/big"
	"testing"

	"strongroom.example/driver"
)

// TestRecoverPoints: on each curve, one of the two keys is the one that signed, also if x
// or s begins with zeros.
func TestRecoverPoints(t *testing.T) {
	for _, alg := range []driver.KeyAlgorithm{driver.ECP256, driver.ECP384, driver.ECP521} {
		half := (alg.Curve().Params().BitSize + 7) / 8
		for range 200 {
			key, err := ecdsa.GenerateKey(alg.Curve(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			der, err := ecdsa.SignASN1(rand.Reader, key, make([]byte, 64))
			if err != nil {
				t.Fatal(err)
			}
			var rs struct{ R, S *big.Int }
			if _, err := asn1.Unmarshal(der, &rs); err != nil {
				t.Fatal(err)
			}
			pair := append(rs.R.FillBytes(make([]byte, half)), rs.S.FillBytes(make([]byte, half))...)
			both, err := recoverPoints(alg, pair)
			if err != nil {
				t.Fatal(err)
			}
			if both[0].Equal(&key.PublicKey) == both[1].Equal(&key.PublicKey) {
				t.Fatalf("recoverPoints, %s: want exactly one of the keys to be the one that signed %x", alg, pair)
			}
		}
	}
}

// TestRecoverPointsOfNothing: a signature that no key made is an error and does not
// panic.
func TestRecoverPointsOfNothing(t *testing.T) {
	for _, alg := range []driver.KeyAlgorithm{driver.ECP256, driver.ECP384, driver.ECP521} {
		half := (alg.Curve().Params().BitSize + 7) / 8
		order := alg.Curve().Params().N.FillBytes(make([]byte, half))
		one := append(make([]byte, half-1), 1)
		for name, pair := range map[string][]byte{
			"zeros": make([]byte, 2*half), "r = 0": append(make([]byte, half), one...), "s = 0": append(append([]byte{}, one...), make([]byte, half)...),
			"r = n": append(append([]byte{}, order...), one...), "s = n": append(append([]byte{}, one...), order...),
		} {
			if both, err := recoverPoints(alg, pair); err == nil {
				t.Errorf("recoverPoints, %s, %s: %v, want an error", alg, name, both)
			}
		}
	}
}
