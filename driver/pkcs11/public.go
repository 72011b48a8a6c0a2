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

// public returns the public key of a key pair, or nil for a symmetric key. The private
// key object has the modulus of an RSA key; the point of a curve is in the public key
// object. If that is missing or damaged, the public key of ECDSA is computed from a
// signature; that of Ed25519 cannot be.
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

// point reads the public key from its object.
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

// keepPair checks the public key of a new pair, and destroys both objects if it does not
// match the request, because without its id it could not be found again.
func (s session) keepPair(public, private p11.ObjectHandle, r request) error {
	fits, err := s.publicFits(public, r)
	if err != nil || fits {
		return err
	}
	return fault("C_GetAttributeValue", driver.Unsupported, errors.Join(errPolicy, s.destroy(public), s.destroy(private)))
}

// publicFits reports whether a public key has its id, its value, the requested public
// exponent, and only its own roles.
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

// rsaPublic reads the public key of an RSA key from the private key object. It accepts
// smaller exponents than new keys may have, because such keys exist in tokens.
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

// rsaNumbers reads modulus and public exponent of an RSA key without checking them.
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

// parsePoint parses CKA_EC_POINT: a DER OCTET STRING, as the standard requires, or the
// bare point, as some tokens have it.
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
