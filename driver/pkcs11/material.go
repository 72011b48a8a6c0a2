//go:build cgo && unix

package pkcs11

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"math/big"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/internal/pkcs8"
	"strongroom.example/internal/suite"
)

// A material is key material in the host, as the attributes of an object, with the
// reference by which the object is checked.
type material struct {
	reference
	values template
	forget func()
}

var errMaterial = errors.New("the material does not fit the spec")

// parse parses material for import: raw bytes for a secret key, PKCS #8 DER for a private
// one. The caller calls forget, which wipes the values.
func (sh shape) parse(in []byte) (material, error) {
	if sh.secret() {
		if uint(len(in)) != sh.size {
			return material{}, errMaterial
		}
		value := append([]byte(nil), in...)
		return material{reference{secret: in}, template{raw(p11.CKA_VALUE, value)}, func() { suite.Wipe(value) }}, nil
	}
	key, err := pkcs8.Parse(sh.spec, in)
	if err != nil {
		return material{}, err
	}
	defer key.Wipe()
	return sh.adopt(key)
}

// adopt returns the material of a private key.
func (sh shape) adopt(key pkcs8.Key) (material, error) {
	m := material{reference: reference{public: publicHalf(key)}}
	switch key := key.Private.(type) {
	case *rsa.PrivateKey:
		m.values = rsaValues(key)
	case *ecdsa.PrivateKey:
		d, err := key.Bytes()
		if err != nil {
			return material{}, errMaterial
		}
		m.values = template{raw(p11.CKA_EC_PARAMS, sh.curve), raw(p11.CKA_VALUE, d)}
	case ed25519.PrivateKey:
		m.values = template{raw(p11.CKA_EC_PARAMS, sh.curve), raw(p11.CKA_VALUE, bytes.Clone(key.Seed()))}
	default:
		return material{}, errMaterial
	}
	m.forget = m.values.wipe
	return m, nil
}

// publicHalf returns the public key of a key, as a copy that stays valid after the
// private key is wiped.
func publicHalf(key pkcs8.Key) crypto.PublicKey {
	if public, ok := key.Private.Public().(ed25519.PublicKey); ok {
		return ed25519.PublicKey(bytes.Clone(public))
	}
	return key.Private.Public()
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
