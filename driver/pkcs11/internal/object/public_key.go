//go:build cgo && unix

package object

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
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

var (
	errPublic = errors.New("the token does not report the public key")
	errPoint  = errors.New("the token does not report the public key: if there is no copy of it, destroy the key and make another")
)

// Public returns the public key of a key pair, or nil for a symmetric key. The private
// key object has the modulus of an RSA key; the point of a curve is in the public key
// object. If that is missing or damaged, the public key of ECDSA is computed from a
// signature; that of Ed25519 cannot be.
func (s Session) Public(o p11.ObjectHandle, r KeyRequest) (crypto.PublicKey, error) {
	switch {
	case r.Shape.Secret():
		return nil, nil
	case r.Shape.Kind == p11.CKK_RSA:
		return s.rsaPublic(o)
	}
	reported, err := s.point(r)
	if r.Shape.Kind == p11.CKK_EC && errors.Is(err, errPoint) {
		return s.ObjectAt(o, r).recoverPublic(s)
	}
	return reported, err
}

// point reads the public key from its object.
func (s Session) point(r KeyRequest) (crypto.PublicKey, error) {
	found, err := s.Find(cryptoki.Template{cryptoki.Ulong(p11.CKA_CLASS, p11.CKO_PUBLIC_KEY), cryptoki.Ulong(p11.CKA_KEY_TYPE, r.Shape.Kind), cryptoki.Bytes(p11.CKA_ID, r.ID[:])})
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
		return nil, cryptoki.Fault("C_FindObjects", driver.Unknown, errPoint)
	}
	value, err := s.Attribute(found[0], p11.CKA_EC_POINT)
	if err != nil {
		return nil, err
	}
	return parsePoint(value, r.Shape)
}

// keepPair checks the public key of a new pair, and destroys both objects if it does not
// match the request, because without its id it could not be found again.
func (s Session) keepPair(public, private p11.ObjectHandle, r KeyRequest) error {
	fits, err := s.publicFits(public, r)
	if err != nil || fits {
		return err
	}
	return cryptoki.Fault("C_GetAttributeValue", driver.Unsupported, errors.Join(ErrNotAsRequested, s.destroy(public), s.destroy(private)))
}

// publicFits reports whether a public key has its id, its value, the requested public
// exponent, and only its own roles.
func (s Session) publicFits(o p11.ObjectHandle, r KeyRequest) (bool, error) {
	if named, err := s.hasID(o, r.ID); err != nil || !named {
		return false, err
	}
	value := uint(p11.CKA_EC_POINT)
	if r.Shape.Kind == p11.CKK_RSA {
		value = p11.CKA_MODULUS
	}
	if reported, err := s.Attribute(o, value); err != nil || len(reported) == 0 {
		return false, err
	}
	if r.Shape.Kind == p11.CKK_RSA {
		e, err := s.Attribute(o, p11.CKA_PUBLIC_EXPONENT)
		if err != nil || !bytes.Equal(bytes.TrimLeft(e, "\x00"), publicExponent()) {
			return false, err
		}
	}
	for _, role := range publicRoles() {
		reported, err := s.Attribute(o, role)
		on := len(reported) == 1 && reported[0] != 0
		if err != nil || !fitsRole(role, on, r.Shape.publicRoles) {
			return false, err
		}
	}
	return true, nil
}

// rsaPublic reads the public key of an RSA key from the private key object. It accepts
// smaller exponents than new keys may have, because such keys exist in tokens.
func (s Session) rsaPublic(o p11.ObjectHandle) (crypto.PublicKey, error) {
	n, e, err := s.rsaNumbers(o)
	if err != nil {
		return nil, err
	}
	if !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
		return nil, cryptoki.Fault("C_GetAttributeValue", driver.Unknown, errPublic)
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

// rsaNumbers reads modulus and public exponent of an RSA key without checking them.
func (s Session) rsaNumbers(o p11.ObjectHandle) (n, e *big.Int, err error) {
	modulus, err := s.Attribute(o, p11.CKA_MODULUS)
	if err != nil {
		return nil, nil, err
	}
	exponent, err := s.Attribute(o, p11.CKA_PUBLIC_EXPONENT)
	if err != nil {
		return nil, nil, err
	}
	if len(modulus) == 0 || len(exponent) == 0 {
		return nil, nil, cryptoki.Fault("C_GetAttributeValue", driver.Unknown, errPublic)
	}
	return new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent), nil
}

// parsePoint parses CKA_EC_POINT: a DER OCTET STRING, as the standard requires, or the
// bare point, as some tokens have it.
func parsePoint(value []byte, sh Shape) (crypto.PublicKey, error) {
	bare := value
	var octets []byte
	if rest, err := asn1.Unmarshal(value, &octets); err == nil && len(rest) == 0 {
		bare = octets
	}
	if sh.Kind == CKKECEdwards {
		if len(bare) == ed25519.PublicKeySize {
			return ed25519.PublicKey(bare), nil
		}
		return nil, cryptoki.Fault("C_GetAttributeValue", driver.Unknown, errPoint)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(sh.Spec.Algorithm.Curve(), bare)
	if err != nil {
		return nil, cryptoki.Fault("C_GetAttributeValue", driver.Unknown, errPoint)
	}
	return key, nil
}
