package oddkeys

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"slices"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/openssltest"
)

// numbers are the eight integers of a PKCS #1 key after its version: n, e, d, p, q, d mod
// p-1, d mod q-1 and q^-1 mod p.
type numbers []*big.Int

// The indexes into numbers.
const (
	placeN = iota
	placeE
	placeD
	placeP
	placeQ
	placeDP
	placeDQ
	placeQInv
)

// numbersOf computes the numbers from two factors. It returns false if they are no key.
func numbersOf(p, q, e *big.Int) (numbers, bool) {
	one := big.NewInt(1)
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	phi := new(big.Int).Mul(p1, q1)
	d, inverse := new(big.Int).ModInverse(e, phi), new(big.Int).ModInverse(q, p)
	if d == nil || inverse == nil {
		return nil, false
	}
	return numbers{new(big.Int).Mul(p, q), e, d, p, q, new(big.Int).Mod(d, p1), new(big.Int).Mod(d, q1), inverse}, true
}

// with returns the numbers with one of them replaced.
func (n numbers) with(place int, number *big.Int) numbers {
	n = slices.Clone(n)
	n[place] = number
	return n
}

// pkcs1 returns an RSAPrivateKey of two primes.
func (n numbers) pkcs1() []byte {
	parts := [][]byte{small(0)}
	for _, number := range n {
		parts = append(parts, integer(number))
	}
	return sequence(parts...)
}

func (n numbers) pkcs8() []byte { return pkcs8(sequence(idRSA(), null()), n.pkcs1()) }

// public returns the public half as SubjectPublicKeyInfo.
func (n numbers) public() []byte {
	return sequence(sequence(idRSA(), null()), bits(sequence(integer(n[placeN]), integer(n[placeE]))))
}

// publicPSS is public with the identifier id-RSASSA-PSS.
func (n numbers) publicPSS(parameters field) []byte {
	return sequence(sequence(idPSS(), parameters), bits(sequence(integer(n[placeN]), integer(n[placeE]))))
}

// prime returns a random prime whose two highest bits are set. It does not use
// rand.Prime, which is not allowed where the process enforces FIPS 140.
func prime(t testing.TB, length int) *big.Int {
	t.Helper()
	b := make([]byte, length/8)
	rand.Read(b)
	b[0] |= 0xc0
	p := new(big.Int).SetBytes(b)
	for p.SetBit(p, 0, 1); !p.ProbablyPrime(8); p.Add(p, big.NewInt(2)) {
	}
	return p
}

// pair returns a key with an exponent, from two factors of factory make.
func pair(t testing.TB, e int64, make func() (p, q *big.Int)) numbers {
	t.Helper()
	for {
		p, q := make()
		if n, ok := numbersOf(p, q, big.NewInt(e)); ok && n[placeN].BitLen() == 2048 {
			return n
		}
	}
}

func generatedRSA(t testing.TB, length int) numbers {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, length)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := numbersOf(k.Primes[0], k.Primes[1], big.NewInt(int64(k.E)))
	return n
}

func rsaRows(b openssltest.Bench) []Row {
	good, other := generatedRSA(b, 2048), generatedRSA(b, 2048)
	primes := func() (*big.Int, *big.Int) { return good[placeP], good[placeQ] }
	freshPrimes := func() (*big.Int, *big.Int) { return prime(b, 1024), prime(b, 1024) }
	plus := func(place int) numbers { return good.with(place, new(big.Int).Add(good[place], big.NewInt(2))) }
	composite := pair(b, 65537, func() (*big.Int, *big.Int) {
		return new(big.Int).Mul(prime(b, 512), prime(b, 512)), good[placeQ]
	})
	near := pair(b, 65537, func() (*big.Int, *big.Int) { return good[placeP], nextPrime(good[placeP], 1) })
	rather := pair(b, 65537, func() (*big.Int, *big.Int) { return good[placeP], nextPrime(good[placeP], 800) })
	uneven := pair(b, 65537, func() (*big.Int, *big.Int) { return prime(b, 1000), prime(b, 1048) })
	three := generated(b, "-algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_primes:3")
	const contradict = "contradict"
	return []Row{
		{Name: "RSA from openssl", Spec: rsaSign, File: generated(b, "-algorithm RSA -pkeyopt rsa_keygen_bits:2048")},
		{Name: "RSA to decrypt", Spec: rsaDecrypt, File: other.pkcs8()},
		{Name: "RSA from Go", Spec: rsaSign, File: fromGo(b, good)},
		{Name: "RSA without NULL", Spec: rsaSign, File: pkcs8(sequence(idRSA()), good.pkcs1())},
		{Name: "RSA with attributes", Spec: rsaSign, File: sequence(small(0), sequence(idRSA(), null()), octets(good.pkcs1()),
			tagged(0, sequence(oid(1, 2, 840, 113549, 1, 9, 20), element(0x31, element(0x1e, []byte("\x00k"))))))},
		{Name: "RSA e = 65539", Spec: rsaSign, File: pair(b, 65539, freshPrimes).pkcs8(), Lacks: []string{"tpm"}},
		{Name: "RSA e = 3", Spec: rsaSign, File: pair(b, 3, freshPrimes).pkcs8(), Fault: "public exponent of the RSA key is 3;"},
		{Name: "RSA e = 17", Spec: rsaSign, File: pair(b, 17, freshPrimes).pkcs8(), Fault: "public exponent of the RSA key is 17;"},
		{Name: "RSA e = 17 from openssl", Spec: rsaDecrypt, Fault: "public exponent of the RSA key is 17;",
			File: generated(b, "-algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:17")},
		{Name: "RSA e = 2^32 + 15", Spec: rsaSign, File: pair(b, 1<<32+15, freshPrimes).pkcs8(), Fault: "public exponent of the RSA key has 33 bits"},
		{Name: "RSA of three primes", Spec: rsaSign, Fault: "three or more primes", Key: publicOf(b, three),
			File: three},
		{Name: "RSA of 2047 bits", Spec: rsaSign, File: shortOf(b).pkcs8(), Fault: "has 2047 bits"},
		{Name: "RSA of 1024 bits", Spec: rsaSign, File: generated(b, "-algorithm RSA -pkeyopt rsa_keygen_bits:1024"), Fault: "has 1024 bits"},
		{Name: "RSA of 3072 bits", Spec: rsaSign, File: generated(b, "-algorithm RSA -pkeyopt rsa_keygen_bits:3072"), Fault: "has 3072 bits"},
		{Name: "RSA with a composite factor", Spec: rsaSign, File: composite.pkcs8(), Fault: "not prime"},
		{Name: "RSA of neighbouring primes", Spec: rsaSign, File: near.pkcs8(), Fault: "too close"},
		{Name: "RSA of close primes", Spec: rsaSign, File: rather.pkcs8(), Fault: "too close", Key: rather.public()},
		{Name: "RSA of primes of unequal length", Spec: rsaSign, File: uneven.pkcs8(), Fault: "half as long", Key: uneven.public()},
		{Name: "RSA with another modulus", Spec: rsaSign, File: good.with(placeN, other[placeN]).pkcs8(), Fault: contradict},
		{Name: "RSA to decrypt, with another modulus", Spec: rsaDecrypt, File: good.with(placeN, other[placeN]).pkcs8(), Fault: contradict},
		{Name: "RSA with another private exponent", Spec: rsaSign, File: plus(placeD).pkcs8(), Fault: contradict, Key: good.public()},
		{Name: "RSA with another exponent of p", Spec: rsaSign, File: plus(placeDP).pkcs8(), Fault: contradict, Key: good.public()},
		{Name: "RSA with another coefficient", Spec: rsaSign, File: plus(placeQInv).pkcs8(), Fault: contradict, Key: good.public()},
		{Name: "RSA with its primes exchanged", Spec: rsaSign, Fault: contradict, Key: good.public(),
			File: good.with(placeP, good[placeQ]).with(placeQ, good[placeP]).pkcs8()},
		{Name: "RSA with no coefficients", Spec: rsaSign, Fault: contradict, Key: good.public(),
			File: good.with(placeDP, new(big.Int)).with(placeDQ, new(big.Int)).with(placeQInv, new(big.Int)).pkcs8()},
		{Name: "RSA with another public exponent", Spec: rsaSign, File: good.with(placeE, big.NewInt(65539)).pkcs8(), Fault: contradict},
		{Name: "RSA with a negative number", Spec: rsaSign, File: good.with(placeD, new(big.Int).Neg(good[placeD])).pkcs8(), Fault: contradict, Key: good.public()},
		{Name: "RSA inside followed by a byte", Spec: rsaSign, Fault: "not strict DER", Key: good.public(),
			File: pkcs8(sequence(idRSA(), null()), append(pair(b, 65537, primes).pkcs1(), 0))},
		{Name: "RSA with its public half twice", Spec: rsaSign, Fault: "twice",
			File: sequence(small(1), sequence(idRSA(), null()), octets(good.pkcs1()), element(0x81, []byte{0}, good.pkcs1()))},
		{Name: "RSA restricted to OAEP", Spec: rsaDecrypt, File: pkcs8(sequence(idOAEP(), null()), good.pkcs1()), Fault: "id-RSAES-OAEP"},
		{Name: "EC for RSA", Spec: rsaSign, File: generated(b, "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"), Fault: "elliptic curve"},
	}
}

// fromGo encodes a key as the standard library does.
func fromGo(t testing.TB, n numbers) []byte {
	t.Helper()
	k, err := x509.ParsePKCS1PrivateKey(n.pkcs1())
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// nextPrime returns the next prime above p + 2^shift.
func nextPrime(p *big.Int, shift uint) *big.Int {
	next := new(big.Int).Lsh(big.NewInt(1), shift)
	next.Add(next, p).SetBit(next, 0, 1)
	for !next.ProbablyPrime(8) || next.Cmp(p) == 0 {
		next.Add(next, big.NewInt(2))
	}
	return next
}

// shortOf returns a key whose modulus has 2047 bits, of primes of 1024 bits.
func shortOf(t testing.TB) numbers {
	t.Helper()
	for {
		p, q := prime(t, 1024), prime(t, 1024)
		p.SetBit(p, 1022, 0) // just above 2^1023
		q.SetBit(q, 1022, 0)
		for !p.ProbablyPrime(8) {
			p.Add(p, big.NewInt(2))
		}
		for !q.ProbablyPrime(8) {
			q.Add(q, big.NewInt(2))
		}
		if n, ok := numbersOf(p, q, big.NewInt(65537)); ok && n[placeN].BitLen() == 2047 {
			return n
		}
	}
}

// pssParameters returns RSASSA-PSS-params with one hash for the message and for MGF1.
func pssParameters(hash field, salt int64) field {
	id := sequence(hash, null())
	return sequence(tagged(0, id), tagged(1, sequence(idMGF1(), id)), tagged(2, small(salt)))
}

func pssRows(b openssltest.Bench) []Row {
	good, other := generatedRSA(b, 2048), generatedRSA(b, 2048)
	sha224, sha256, sha512 := oid(2, 16, 840, 1, 101, 3, 4, 2, 4), oid(2, 16, 840, 1, 101, 3, 4, 2, 1), oid(2, 16, 840, 1, 101, 3, 4, 2, 3)
	otherMGF := sequence(tagged(0, sequence(sha256)), tagged(2, small(32)))
	plain := generated(b, "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048")
	narrow := generated(b, "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048"+
		" -pkeyopt rsa_pss_keygen_md:sha256 -pkeyopt rsa_pss_keygen_mgf1_md:sha256 -pkeyopt rsa_pss_keygen_saltlen:32")
	file := func(parameters field) []byte { return pkcs8(sequence(idPSS(), parameters), good.pkcs1()) }
	pss, pss256 := []driver.SignAlg{driver.RSAPSSSHA256, driver.RSAPSSSHA384, driver.RSAPSSSHA512}, []driver.SignAlg{driver.RSAPSSSHA256}
	const restricted = "restricted to RSASSA-PSS with"
	return []Row{
		{Name: "RSA-PSS from openssl", Spec: rsaSign, File: plain, Sign: pss, Public: publicOf(b, plain)},
		{Name: "RSA-PSS from openssl with SHA-256", Spec: rsaSign, Sign: pss256, File: narrow, Public: publicOf(b, narrow)},
		{Name: "RSA-PSS with a salt of 20 bytes or more", Spec: rsaSign, Sign: pss256, File: file(pssParameters(sha256, 20)),
			Public: good.publicPSS(pssParameters(sha256, 20))},
		{Name: "RSA-PSS with a salt of 64 bytes or more", Spec: rsaSign, Fault: restricted, Key: good.public(), Public: good.publicPSS(pssParameters(sha256, 64)),
			File: file(pssParameters(sha256, 64))},
		{Name: "RSA-PSS with SHA-512", Spec: rsaSign, Sign: []driver.SignAlg{driver.RSAPSSSHA512},
			File: file(pssParameters(sha512, 64)), Public: good.publicPSS(pssParameters(sha512, 64))},
		{Name: "RSA-PSS with SHA-224", Spec: rsaSign, Fault: restricted + " hash SHA-224", Key: good.public(), Public: good.publicPSS(pssParameters(sha224, 28)),
			File: file(pssParameters(sha224, 28))},
		{Name: "RSA-PSS with SHA-1 by default", Spec: rsaSign, Fault: restricted + " hash SHA-1", Key: good.public(), Public: good.publicPSS(sequence()),
			File: file(sequence())},
		{Name: "RSA-PSS with MGF1 of SHA-1", Spec: rsaSign, Fault: restricted, Key: good.public(), Public: good.publicPSS(otherMGF),
			File: file(otherMGF)},
		{Name: "RSA-PSS with NULL", Spec: rsaSign, File: file(null()), Fault: "id-RSASSA-PSS"},
		{Name: "RSA-PSS to decrypt", Spec: rsaDecrypt, File: pkcs8(sequence(idPSS()), other.pkcs1()), Fault: "restricted to signatures",
			Key: other.public(), Public: other.publicPSS(nil)},
	}
}
