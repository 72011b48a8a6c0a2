package soft

import (
	"crypto/rsa"
	"errors"
	"math/big"

	"filippo.io/bigmod"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// rsaBits returns the modulus length of an RSA algorithm, or 0.
func rsaBits(alg driver.KeyAlgorithm) int {
	switch alg {
	case driver.RSA2048:
		return 2048
	case driver.RSA3072:
		return 3072
	case driver.RSA4096:
		return 4096
	}
	return 0
}

// checkRSA accepts what FIPS 186-5 allows: two distinct primes of half the length,
// and a public exponent of at least 65537. Go's Validate checks that the numbers
// fit each other, but not that the factors are prime.
func checkRSA(key *rsa.PrivateKey) error {
	if err := key.Validate(); err != nil || len(key.Primes) != 2 || key.E < 65537 {
		return errMaterial
	}
	for _, p := range key.Primes {
		if p.BitLen() != key.N.BitLen()/2 || !p.ProbablyPrime(8) {
			return errMaterial
		}
	}
	if key.Primes[0].Cmp(key.Primes[1]) == 0 {
		return errMaterial
	}
	return nil
}

var errRange = errors.New("ciphertext out of range")

// rawRSA returns c^d mod n in constant time, as long as the modulus. It goes
// without the Chinese remainder theorem: slower, but a computing fault then cannot
// give the factors away.
func rawRSA(key *rsa.PrivateKey, ciphertext []byte) ([]byte, error) {
	if len(ciphertext) != key.Size() {
		return nil, errRange
	}
	n, err := bigmod.NewModulus(key.N.Bytes())
	if err != nil {
		return nil, err
	}
	c, err := bigmod.NewNat().SetBytes(ciphertext, n)
	if err != nil {
		return nil, errRange
	}
	d := padded(key.D, key.Size())
	defer suite.Wipe(d)
	m := bigmod.NewNat().Exp(c, d, n)
	defer clear(m.Bits())
	return m.Bytes(n), nil
}

// padded returns x in size bytes, so that the exponent's length tells nothing.
func padded(x *big.Int, size int) []byte { return x.FillBytes(make([]byte, size)) }
