package pkcs8

import (
	"crypto/x509"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"strongroom.example/driver"
)

const (
	// MinExponent and MaxExponent bound the public exponent of an RSA key. The lower
	// bound is that of FIPS 186-5, the upper one that of Go.
	MinExponent, MaxExponent = 1<<16 + 1, 1<<31 - 1

	makeRSA = "make another: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 | openssl pkcs8 -topk8 -nocrypt -outform DER -out key.der"
)

// rsa parses an RSA key (RFC 8017, A.1.2).
func (o outer) rsa(spec driver.KeySpec) (k Key, err error) {
	bits := spec.Algorithm.ModulusBits()
	if bits == 0 {
		return k, refuse(otherCMK, "the private key is RSA, the CMK takes %s", spec.Algorithm)
	}
	if o.is(oidPSS) {
		if k.PSS, err = restriction(spec, o.parameters); err != nil {
			return k, err
		}
	} else if !o.absentOrNull() {
		return k, malformed("an RSA key has parameters")
	}
	if o.public != nil {
		return k, malformed("an RSA key has its public half twice")
	}
	numbers, err := parsePKCS1(o.key)
	defer wipeNumbers(numbers[2:]...)
	if err != nil {
		return k, err
	}
	if err := CheckRSA(spec.Algorithm, numbers[0], numbers[1]); err != nil {
		return k, err
	}
	if err := checkFactors(numbers); err != nil {
		return k, err
	}
	// ParsePKCS1PrivateKey checks the remaining numbers. Its error is dropped, because it
	// may quote its input.
	key, err := x509.ParsePKCS1PrivateKey(o.key)
	if err != nil {
		return k, contradicts("the numbers of the RSA key do not fit each other")
	}
	if key.Validate() != nil {
		Key{Private: key}.Wipe()
		return k, contradicts("the numbers of the RSA key do not fit each other")
	}
	k.Private = key
	return k, nil
}

// parsePKCS1 parses a PKCS #1 key of two primes, without trailing data: n, e, d, p, q,
// the exponents of both primes and the coefficient. The caller wipes all but the first
// two, also after an error.
func parsePKCS1(der cryptobyte.String) (numbers [8]*big.Int, err error) {
	for i := range numbers {
		numbers[i] = new(big.Int)
	}
	var inner cryptobyte.String
	var version int
	if !der.ReadASN1(&inner, asn1.SEQUENCE) || !der.Empty() || !inner.ReadASN1Integer(&version) {
		return numbers, malformed("the RSA key inside is not PKCS #1, or something follows it")
	}
	if version == 1 {
		return numbers, refuse(anotherKey, "the RSA key has three or more primes; CMKs take two")
	}
	if version != 0 {
		return numbers, malformed("the RSA key inside is not PKCS #1")
	}
	for _, n := range numbers {
		if !inner.ReadASN1Integer(n) {
			return numbers, malformed("the RSA key inside is not PKCS #1")
		}
		if n.Sign() < 0 {
			return numbers, contradicts("a number of the RSA key is negative")
		}
	}
	if !inner.Empty() {
		return numbers, malformed("the RSA key inside has parts too many")
	}
	return numbers, nil
}

// CheckRSA checks the public key of an RSA key: it must have the length of the algorithm,
// an odd public exponent from MinExponent to MaxExponent, and a modulus that has no small
// factor, is not prime and has no two factors next to each other (NIST SP 800-89, 5.3.3).
// No more can be checked of a key whose private half is in a device. The error is an
// *Error.
func CheckRSA(alg driver.KeyAlgorithm, n, e *big.Int) error {
	bits := alg.ModulusBits()
	if n.Sign() <= 0 || n.BitLen() != bits {
		return refuse("make a CMK of that length, if there is one, or bring another key", "the RSA key has %d bits, the CMK takes %d", n.BitLen(), bits)
	}
	switch {
	case e.Sign() <= 0 || e.BitLen() > 31:
		return refuse(makeRSA, "the public exponent of the RSA key has %d bits; CMKs take odd ones from %d to %d", e.BitLen(), MinExponent, MaxExponent)
	case e.Int64() < MinExponent || e.Bit(0) == 0:
		return refuse(makeRSA, "the public exponent of the RSA key is %d; CMKs take odd ones from %d to %d", e, MinExponent, MaxExponent)
	}
	switch {
	case new(big.Int).GCD(nil, nil, n, smallPrimes()).Cmp(big.NewInt(1)) != 0:
		return refuse(makeRSA, "the modulus of the RSA key has a small factor")
	case closeFactors(n):
		return refuse(makeRSA, "the primes of the RSA key are too close together")
	case n.ProbablyPrime(1):
		return refuse(makeRSA, "the modulus of the RSA key is prime")
	}
	return nil
}

// smallPrimes returns the product of the primes below 752.
func smallPrimes() *big.Int {
	product := big.NewInt(2)
	for n := int64(3); n < 752; n += 2 {
		if p := big.NewInt(n); p.ProbablyPrime(0) {
			product.Mul(product, p)
		}
	}
	return product
}

// closeFactors reports whether one step of Fermat's method factors n: whether n is a
// square, or its factors differ by at most about the fourth root of n.
func closeFactors(n *big.Int) bool {
	a := new(big.Int).Sqrt(n)
	for range 2 { // from the root rounded down, then rounded up
		rest := new(big.Int).Mul(a, a)
		rest.Sub(rest, n)
		if rest.Sign() >= 0 {
			if root := new(big.Int).Sqrt(rest); root.Mul(root, root).Cmp(rest) == 0 {
				return true
			}
		}
		a.Add(a, big.NewInt(1))
	}
	return false
}

// checkFactors applies FIPS 186-5, A.1.1: two distinct primes of half the length that are
// not close together, and a private exponent that is not small. The standard library
// checks that the numbers are consistent, but not that the factors are prime.
func checkFactors(numbers [8]*big.Int) error {
	n, d, p, q := numbers[0], numbers[2], numbers[3], numbers[4]
	scratch := new(big.Int).Mul(p, q)
	defer wipeNumbers(scratch)
	if scratch.Cmp(n) != 0 {
		return contradicts("the modulus of the RSA key is not the product of its primes")
	}
	half := n.BitLen() / 2
	if p.BitLen() != half || q.BitLen() != half {
		return refuse(makeRSA, "the primes of the RSA key are not half as long as the modulus")
	}
	if scratch.Sub(p, q).BitLen() <= half-100 {
		return refuse(makeRSA, "the primes of the RSA key are too close together")
	}
	if d.BitLen() <= half {
		return refuse(makeRSA, "the private exponent of the RSA key is too small")
	}
	if !IsPrime(p) || !IsPrime(q) {
		return refuse(makeRSA, "a factor of the RSA key is not prime")
	}
	return nil
}

// IsPrime tests a factor by Miller-Rabin with 8 random bases, and by Lucas.
func IsPrime(p *big.Int) bool { return p.ProbablyPrime(8) }
