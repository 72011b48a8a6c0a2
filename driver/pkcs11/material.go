//go:build cgo && unix

package pkcs11

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/internal/suite"
)

// A material is key material in the host, as attributes of an object, and what the
// object is held against.
type material struct {
	reference
	values template
	forget func()
}

var errMaterial = errors.New("the material does not fit the spec")

// parse reads material as it is imported: raw bytes for a secret key, PKCS #8 DER
// for a private one. The caller calls forget.
func (sh shape) parse(in []byte) (material, error) {
	if sh.secret() {
		if uint(len(in)) != sh.size {
			return material{}, errMaterial
		}
		value := append([]byte(nil), in...)
		return material{reference{secret: in}, template{raw(p11.CKA_VALUE, value)}, func() { suite.Wipe(value) }}, nil
	}
	var whole asn1.RawValue
	if rest, err := asn1.Unmarshal(in, &whole); err != nil || len(rest) != 0 {
		return material{}, errMaterial
	}
	// The parser's own error is dropped, since it may quote what it read.
	key, err := x509.ParsePKCS8PrivateKey(in)
	if err != nil {
		return material{}, errMaterial
	}
	return sh.adopt(key)
}

// adopt makes attributes of a private key, and forgets the key itself.
func (sh shape) adopt(key any) (material, error) {
	var m material
	switch key := key.(type) {
	case *rsa.PrivateKey:
		defer forgetRSA(key)
		if sh.kind != p11.CKK_RSA || uint(key.N.BitLen()) != sh.size || checkRSA(key) != nil {
			return material{}, errMaterial
		}
		m = material{reference: reference{public: &key.PublicKey}, values: rsaValues(key)}
	case *ecdsa.PrivateKey:
		if curve := curveOf(sh.spec.Algorithm); curve == nil || key.Curve != curve {
			return material{}, errMaterial
		}
		d, err := key.Bytes()
		if err != nil {
			return material{}, errMaterial
		}
		m = material{reference: reference{public: &key.PublicKey}, values: template{raw(p11.CKA_EC_PARAMS, sh.curve), raw(p11.CKA_VALUE, d)}}
	case ed25519.PrivateKey:
		if sh.kind != ckkECEdwards {
			return material{}, errMaterial
		}
		m = material{reference: reference{public: key.Public()}, values: template{raw(p11.CKA_EC_PARAMS, sh.curve), raw(p11.CKA_VALUE, append([]byte(nil), key.Seed()...))}}
		suite.Wipe(key)
	default:
		return material{}, errMaterial
	}
	m.forget = m.values.wipe
	return m, nil
}

// checkRSA accepts what FIPS 186-5 allows: two distinct primes of half the length,
// and a public exponent of at least 65537.
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

func rsaValues(key *rsa.PrivateKey) template {
	key.Precompute()
	half := key.N.BitLen() / 16
	sized := func(n *big.Int) []byte { return n.FillBytes(make([]byte, half)) }
	return template{
		raw(p11.CKA_MODULUS, key.N.Bytes()),
		raw(p11.CKA_PUBLIC_EXPONENT, big.NewInt(int64(key.E)).Bytes()),
		raw(p11.CKA_PRIVATE_EXPONENT, key.D.FillBytes(make([]byte, 2*half))),
		raw(p11.CKA_PRIME_1, sized(key.Primes[0])),
		raw(p11.CKA_PRIME_2, sized(key.Primes[1])),
		raw(p11.CKA_EXPONENT_1, sized(key.Precomputed.Dp)),
		raw(p11.CKA_EXPONENT_2, sized(key.Precomputed.Dq)),
		raw(p11.CKA_COEFFICIENT, sized(key.Precomputed.Qinv)),
	}
}

// forgetRSA zeroes the numbers of a key, as far as Go shows them.
func forgetRSA(key *rsa.PrivateKey) {
	numbers := append([]*big.Int{key.D, key.Precomputed.Dp, key.Precomputed.Dq, key.Precomputed.Qinv}, key.Primes...)
	for _, n := range numbers {
		if n != nil {
			clear(n.Bits())
		}
	}
}
