//go:build cgo && unix

package object

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/internal/pkcs8"
	"strongroom.example/internal/suite"
)

// A material is key material in the host, as the attributes of an object, with the
// reference by which the object is checked.
type Material struct {
	Reference
	Values cryptoki.Template
	Wipe   func()
}

var errMaterial = errors.New("the material does not fit the spec")

// Parse parses material for import: raw bytes for a secret key, PKCS #8 DER for a private
// one. The caller calls forget, which wipes the values.
func (sh Shape) Parse(in []byte) (Material, error) {
	if sh.Secret() {
		if uint(len(in)) != sh.Size {
			return Material{}, errMaterial
		}
		value := append([]byte(nil), in...)
		return Material{Reference{secret: in}, cryptoki.Template{cryptoki.Bytes(p11.CKA_VALUE, value)}, func() { suite.Wipe(value) }}, nil
	}
	key, err := pkcs8.Parse(sh.Spec, in)
	if err != nil {
		return Material{}, err
	}
	defer key.Wipe()
	return sh.privateMaterial(key)
}

// privateMaterial returns the material of a private key.
func (sh Shape) privateMaterial(key pkcs8.Key) (Material, error) {
	m := Material{Reference: Reference{Public: publicHalf(key)}}
	switch key := key.Private.(type) {
	case *rsa.PrivateKey:
		m.Values = rsaValues(key)
	case *ecdsa.PrivateKey:
		d, err := key.Bytes()
		if err != nil {
			return Material{}, errMaterial
		}
		m.Values = cryptoki.Template{cryptoki.Bytes(p11.CKA_EC_PARAMS, sh.curve), cryptoki.Bytes(p11.CKA_VALUE, d)}
	case ed25519.PrivateKey:
		m.Values = cryptoki.Template{cryptoki.Bytes(p11.CKA_EC_PARAMS, sh.curve), cryptoki.Bytes(p11.CKA_VALUE, bytes.Clone(key.Seed()))}
	default:
		return Material{}, errMaterial
	}
	m.Wipe = m.Values.Wipe
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

func rsaValues(key *rsa.PrivateKey) cryptoki.Template {
	key.Precompute()
	half := key.N.BitLen() / 16
	sized := func(n *big.Int) []byte { return n.FillBytes(suite.NewSecret(half)) }
	return cryptoki.Template{
		cryptoki.Bytes(p11.CKA_MODULUS, key.N.Bytes()),
		cryptoki.Bytes(p11.CKA_PUBLIC_EXPONENT, big.NewInt(int64(key.E)).Bytes()),
		cryptoki.Bytes(p11.CKA_PRIVATE_EXPONENT, key.D.FillBytes(suite.NewSecret(2*half))),
		cryptoki.Bytes(p11.CKA_PRIME_1, sized(key.Primes[0])),
		cryptoki.Bytes(p11.CKA_PRIME_2, sized(key.Primes[1])),
		cryptoki.Bytes(p11.CKA_EXPONENT_1, sized(key.Precomputed.Dp)),
		cryptoki.Bytes(p11.CKA_EXPONENT_2, sized(key.Precomputed.Dq)),
		cryptoki.Bytes(p11.CKA_COEFFICIENT, sized(key.Precomputed.Qinv)),
	}
}

// ImportMaterial creates an object from Material, or checks the existing one.
func (s Session) ImportMaterial(r KeyRequest, m Material) (driver.Created, error) {
	placed := false
	o, f, err := s.ensureConforming(r, func(s Session, r KeyRequest) (p11.ObjectHandle, error) {
		placed = true
		return s.CreateObject(r, m.Values)
	})
	if err != nil {
		return driver.Created{}, err
	}
	if !placed {
		if err := s.checkMaterial(o, r, m); err != nil {
			return driver.Created{}, err
		}
	}
	return m.created(f)
}

// checkMaterial returns Invalid if an existing key has other material. It returns other
// errors of the token unchanged, because they do not show that the material differs.
func (s Session) checkMaterial(o p11.ObjectHandle, r KeyRequest, m Material) error {
	if key, ok := m.Public.(*rsa.PublicKey); ok {
		// Under another modulus the token may reject the trial ciphertext.
		public, err := s.rsaPublic(o)
		if err != nil {
			return err
		}
		if !key.Equal(public) {
			return cryptoki.Fault("C_FindObjects", driver.Invalid, errOtherMaterial)
		}
	}
	err := s.ObjectAt(o, r).Verify(s, m.Reference)
	if errors.Is(err, ErrWrongResult) && cryptoki.CodeOf(err) == p11.CKR_OK {
		return cryptoki.Fault("C_FindObjects", driver.Invalid, errOtherMaterial)
	}
	return err
}

// created returns the description of an imported key, with the public key computed in the
// host.
func (m Material) created(f Facts) (driver.Created, error) {
	created := driver.Created{Attributes: f.Attributes}
	if m.Public == nil {
		return created, nil
	}
	der, err := x509.MarshalPKIXPublicKey(m.Public)
	if err != nil {
		return driver.Created{}, cryptoki.Fault("ImportKey", driver.Invalid, errMaterial)
	}
	created.PublicDER = der
	return created, nil
}
