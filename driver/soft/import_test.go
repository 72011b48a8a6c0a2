package soft_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
)

func TestImportRefused(t *testing.T) {
	d := newDriver(t, soft.Config{})
	spec := func(alg driver.KeyAlgorithm, u driver.Usage) driver.KeySpec {
		return driver.KeySpec{Algorithm: alg, Usage: u}
	}
	ed := ed25519PKCS8(make([]byte, 32))
	for name, c := range map[string]struct {
		spec     driver.KeySpec
		material []byte
		ok       bool
	}{
		"HMAC of 31":        {spec(driver.HMACSHA256, driver.Derive), make([]byte, 31), false},
		"HMAC-SHA-256 of16": {spec(driver.HMACSHA256, driver.Derive), make([]byte, 16), false},
		"HMAC-SM3 of 16":    {spec(driver.HMACSM3, driver.Derive), make([]byte, 16), true},
		"Ed25519":           {spec(driver.Ed25519, driver.Sign), ed, true},
		"trailing byte":     {spec(driver.Ed25519, driver.Sign), append(bytes.Clone(ed), 0), false},
		"other algorithm":   {spec(driver.ECP256, driver.Sign), ed, false},
		"nothing":           {spec(driver.ECP256, driver.Sign), nil, false},
		"RSA":               {spec(driver.RSA2048, driver.Sign), rsaPKCS8(t, 1), true},
		"RSA, other length": {spec(driver.RSA3072, driver.Sign), rsaPKCS8(t, 1), false},
		"RSA, composite":    {spec(driver.RSA2048, driver.Sign), rsaPKCS8(t, 2), false},
		"SM2, d is n-2":     {spec(driver.SM2, driver.Sign), sm2PKCS8(t, -2), true},
		"SM2, d is n-1":     {spec(driver.SM2, driver.Sign), sm2PKCS8(t, -1), false},
		"SM2, d is n":       {spec(driver.SM2, driver.Decrypt), sm2PKCS8(t, 0), false},
	} {
		_, err := d.ImportKey(context.Background(), driver.MaterialID{1}, c.spec, c.material)
		if c.ok && err != nil || !c.ok && !errors.Is(err, driver.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// sm2PKCS8 returns a key whose scalar is the order of the curve plus more.
func sm2PKCS8(t *testing.T, more int64) []byte {
	t.Helper()
	d := new(big.Int).Add(sm2.P256().Params().N, big.NewInt(more))
	inner, err := asn1.Marshal(struct {
		Version int
		Key     []byte
	}{1, d.FillBytes(make([]byte, 32))})
	if err != nil {
		t.Fatal(err)
	}
	curve, err := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301})
	if err != nil {
		t.Fatal(err)
	}
	return encodePKCS8(t, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1},
		Parameters: asn1.RawValue{FullBytes: curve}}, inner)
}

func encodePKCS8(t *testing.T, alg pkix.AlgorithmIdentifier, inner []byte) []byte {
	t.Helper()
	outer, err := asn1.Marshal(struct {
		Version int
		Alg     pkix.AlgorithmIdentifier
		Key     []byte
	}{0, alg, inner})
	if err != nil {
		t.Fatal(err)
	}
	return outer
}

// rsaPKCS8 returns a 2048-bit key whose first factor is the product of the given number
// of primes. Its parts are consistent all the same.
func rsaPKCS8(t *testing.T, primes int) []byte {
	t.Helper()
	one, e := big.NewInt(1), big.NewInt(65537)
	for {
		p, q := big.NewInt(1), randomPrime(t, 1024)
		for range primes {
			p.Mul(p, randomPrime(t, 1024/primes))
		}
		p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
		phi, n := new(big.Int).Mul(p1, q1), new(big.Int).Mul(p, q)
		d, inv := new(big.Int).ModInverse(e, phi), new(big.Int).ModInverse(q, p)
		if d == nil || inv == nil || n.BitLen() != 2048 || p.BitLen() != 1024 {
			continue
		}
		inner, err := asn1.Marshal([]*big.Int{big.NewInt(0), n, e, d, p, q, p1.Mod(d, p1), q1.Mod(d, q1), inv})
		if err != nil {
			t.Fatal(err)
		}
		return encodePKCS8(t, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: asn1.NullRawValue}, inner)
	}
}

func randomPrime(t *testing.T, bits int) *big.Int {
	t.Helper()
	p, err := rand.Prime(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
