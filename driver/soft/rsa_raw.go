package soft

import (
	"crypto/rsa"
	"errors"

	"filippo.io/bigmod"

	"strongroom.example/internal/suite"
)

var (
	errRange     = errors.New("ciphertext out of range")
	errComputing = errors.New("the result does not check: a computing fault")
)

// A rawRSA is the RSA decryption primitive by the Chinese remainder theorem (RFC 8017,
// 5.1.2), with its constants precomputed. It runs in constant time. Like every RSA key in
// Go it lives on the heap.
type rawRSA struct {
	redacted
	n, p, q *bigmod.Modulus
	factor  *bigmod.Nat // q, expanded to the length of n
	inverse *bigmod.Nat // q⁻¹ mod p
	dP, dQ  []byte
	e       uint
}

// newRawRSA returns the primitive of a key with two primes.
func newRawRSA(key *rsa.PrivateKey) (*rawRSA, error) {
	if len(key.Primes) != 2 {
		return nil, errMaterial
	}
	key.Precompute()
	n, errN := bigmod.NewModulus(key.N.Bytes())
	p, errP := bigmod.NewModulus(key.Primes[0].Bytes())
	q, errQ := bigmod.NewModulus(key.Primes[1].Bytes())
	if err := errors.Join(errN, errP, errQ); err != nil {
		return nil, err
	}
	inverse, err := bigmod.NewNat().SetBytes(key.Precomputed.Qinv.Bytes(), p)
	if err != nil {
		return nil, err
	}
	return &rawRSA{
		n: n, p: p, q: q,
		factor:  q.Nat().ExpandFor(n),
		inverse: inverse,
		// At full length, so that leading zeros of an exponent do not affect the timing.
		dP: key.Precomputed.Dp.FillBytes(suite.NewSecret(p.Size())),
		dQ: key.Precomputed.Dq.FillBytes(suite.NewSecret(q.Size())),
		e:  uint(key.E),
	}, nil
}

// decrypt returns c^d mod n, as long as the modulus. It verifies the result, because a
// wrong one would disclose the factors.
func (k *rawRSA) decrypt(ciphertext []byte) ([]byte, error) {
	if len(ciphertext) != k.n.Size() {
		return nil, errRange
	}
	c, err := bigmod.NewNat().SetBytes(ciphertext, k.n)
	if err != nil {
		return nil, errRange
	}
	m := k.power(c)
	defer clear(m.Bits())
	if bigmod.NewNat().ExpShortVarTime(m, k.e, k.n).Equal(c) != 1 {
		return nil, errComputing
	}
	return m.Bytes(k.n), nil
}

// power returns c^d mod n. It combines the residues mod p and mod q by Garner's formula:
// inQ + q·((inP − inQ)·q⁻¹ mod p).
func (k *rawRSA) power(c *bigmod.Nat) *bigmod.Nat {
	inP := residue(c, k.dP, k.p)
	inQ := residue(c, k.dQ, k.q)
	shared := bigmod.NewNat().Mod(inQ, k.p)
	m := inP.Sub(shared, k.p).Mul(k.inverse, k.p).ExpandFor(k.n)
	m.Mul(k.factor, k.n).Add(inQ.ExpandFor(k.n), k.n)
	clear(shared.Bits())
	clear(inQ.Bits())
	return m
}

// residue returns c^d mod prime.
func residue(c *bigmod.Nat, d []byte, prime *bigmod.Modulus) *bigmod.Nat {
	return bigmod.NewNat().Exp(bigmod.NewNat().Mod(c, prime), d, prime)
}
