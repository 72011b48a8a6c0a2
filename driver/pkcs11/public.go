//go:build cgo && unix

package pkcs11

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"math/big"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

var (
	errPublic = errors.New("the token does not tell the public half of the key")
	errPoint  = errors.New("the token does not tell the public half of the key: if nobody has it, destroy the key and make another")
)

// public finds the public half of a key pair; nil for a symmetric key. A private key
// tells an RSA modulus; the point of a curve is read from the public object. Where
// that is missing or damaged, an ECDSA key's is worked out; an Ed25519 key's cannot be.
func (s session) public(o p11.ObjectHandle, r request) (crypto.PublicKey, error) {
	switch {
	case r.shape.secret():
		return nil, nil
	case r.shape.kind == p11.CKK_RSA:
		return s.rsaPublic(o)
	}
	told, err := s.point(r)
	if r.shape.kind == p11.CKK_EC && errors.Is(err, errPoint) {
		return s.at(o, r).recoverPublic(s)
	}
	return told, err
}

// point reads the public half from its object.
func (s session) point(r request) (crypto.PublicKey, error) {
	found, err := s.find(template{number(p11.CKA_CLASS, p11.CKO_PUBLIC_KEY), number(p11.CKA_KEY_TYPE, r.shape.kind), raw(p11.CKA_ID, r.id[:])})
	if err != nil {
		return nil, err
	}
	one := len(found) == 1
	if len(found) > 1 {
		if one, err = s.sameAttribute(found, p11.CKA_EC_POINT); err != nil {
			return nil, err
		}
	}
	if !one {
		return nil, fault("C_FindObjects", driver.Unknown, errPoint)
	}
	value, err := s.attribute(found[0], p11.CKA_EC_POINT)
	if err != nil {
		return nil, err
	}
	return parsePoint(value, r.shape)
}

// keepPair checks the public half of a pair that was just made, and destroys both
// halves if it is not what was asked for: without its id nobody would find it again.
func (s session) keepPair(public, private p11.ObjectHandle, r request) error {
	fits, err := s.publicFits(public, r)
	if err != nil || fits {
		return err
	}
	return fault("C_GetAttributeValue", driver.Unsupported, errors.Join(errPolicy, s.destroy(public), s.destroy(private)))
}

// publicFits reports whether a public half has its id, its value, the public exponent
// that was asked for, and its roles alone.
func (s session) publicFits(o p11.ObjectHandle, r request) (bool, error) {
	if named, err := s.named(o, r.id); err != nil || !named {
		return false, err
	}
	value := uint(p11.CKA_EC_POINT)
	if r.shape.kind == p11.CKK_RSA {
		value = p11.CKA_MODULUS
	}
	if told, err := s.attribute(o, value); err != nil || len(told) == 0 {
		return false, err
	}
	if r.shape.kind == p11.CKK_RSA {
		e, err := s.attribute(o, p11.CKA_PUBLIC_EXPONENT)
		if err != nil || !bytes.Equal(bytes.TrimLeft(e, "\x00"), publicExponent()) {
			return false, err
		}
	}
	for _, role := range publicRoles() {
		told, err := s.attribute(o, role)
		on := len(told) == 1 && told[0] != 0
		if err != nil || !fitsRole(role, on, r.shape.publicRoles) {
			return false, err
		}
	}
	return true, nil
}

// rsaPublic reads the public half of an RSA key from its private one. Keys of smaller
// exponents than are taken today are in tokens already.
func (s session) rsaPublic(o p11.ObjectHandle) (crypto.PublicKey, error) {
	n, e, err := s.rsaNumbers(o)
	if err != nil {
		return nil, err
	}
	if !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
		return nil, fault("C_GetAttributeValue", driver.Unknown, errPublic)
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

// rsaNumbers reads modulus and public exponent of an RSA key as they are.
func (s session) rsaNumbers(o p11.ObjectHandle) (n, e *big.Int, err error) {
	modulus, err := s.attribute(o, p11.CKA_MODULUS)
	if err != nil {
		return nil, nil, err
	}
	exponent, err := s.attribute(o, p11.CKA_PUBLIC_EXPONENT)
	if err != nil {
		return nil, nil, err
	}
	if len(modulus) == 0 || len(exponent) == 0 {
		return nil, nil, fault("C_GetAttributeValue", driver.Unknown, errPublic)
	}
	return new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent), nil
}

// parsePoint reads CKA_EC_POINT: an OCTET STRING in DER, as the standard has it, or
// the bare point of some tokens.
func parsePoint(value []byte, sh shape) (crypto.PublicKey, error) {
	bare := value
	var octets []byte
	if rest, err := asn1.Unmarshal(value, &octets); err == nil && len(rest) == 0 {
		bare = octets
	}
	if sh.kind == ckkECEdwards {
		if len(bare) == ed25519.PublicKeySize {
			return ed25519.PublicKey(bare), nil
		}
		return nil, fault("C_GetAttributeValue", driver.Unknown, errPoint)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curveOf(sh.spec.Algorithm), bare)
	if err != nil {
		return nil, fault("C_GetAttributeValue", driver.Unknown, errPoint)
	}
	return key, nil
}
