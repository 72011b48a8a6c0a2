package soft

import (
	"crypto/rsa"
	"math/big"

	"strongroom.example/driver"
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
		if p.BitLen() != key.N.BitLen()/2 || !prime(p) {
			return errMaterial
		}
	}
	if key.Primes[0].Cmp(key.Primes[1]) == 0 {
		return errMaterial
	}
	return nil
}

// prime tests a factor by Miller-Rabin with 8 random bases and by Lucas.
func prime(p *big.Int) bool { return p.ProbablyPrime(8) }
