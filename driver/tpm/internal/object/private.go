package object

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/emmansun/gmsm/sm2"
	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/wire"
	"strongroom.example/internal/pkcs8"
	"strongroom.example/internal/sm2ciphertext"
	"strongroom.example/internal/suite"
)

var errMaterial = errors.New("material of a wrong length or form")

// SensitiveArea checks imported material, sets the public key in area, and returns the
// marshalled sensitive area, which the caller wipes. The error names the fault of the
// material.
func SensitiveArea(k Kind, area *tpm2.TPMTPublic, auth, material []byte) ([]byte, error) {
	if k.Row.Spec.Usage == driver.Derive {
		if !k.Row.Spec.Algorithm.FitsMaterial(len(material)) {
			return nil, errMaterial
		}
		return keyedHash(area, auth, material), nil
	}
	key, err := pkcs8.Parse(k.Row.Spec, material)
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	switch key := key.Private.(type) {
	case *rsa.PrivateKey:
		return sensitiveRSA(area, auth, key)
	case *ecdsa.PrivateKey:
		s, err := scalarOf(key)
		return sensitiveECC(area, auth, s), err
	case *sm2.PrivateKey:
		return sensitiveECC(area, auth, scalarOfSM2(key)), nil
	}
	return nil, errMaterial
}

// sensitive returns a TPMT_SENSITIVE. It marshals the structure itself, so that no copy
// of the secret is left in memory.
func sensitive(kind tpm2.TPMAlgID, auth, seed, private []byte) []byte {
	parts := wire.ConcatSized(auth, seed, private)
	defer suite.Wipe(parts)
	b := binary.BigEndian.AppendUint16(suite.NewSecret(2 + len(parts))[:0], uint16(kind))
	return append(b, parts...)
}

// errExponent rejects a key that other drivers accept.
var errExponent = &pkcs8.Error{
	Fault:  "the TPM takes RSA keys of public exponent 65537 alone",
	Remedy: "import the key into a CMK of another driver",
}

// sensitiveRSA stores one of the two primes, as the TPM does.
func sensitiveRSA(area *tpm2.TPMTPublic, auth []byte, key *rsa.PrivateKey) ([]byte, error) {
	if key.E != 65537 {
		return nil, errExponent
	}
	prime := key.Primes[0].Bytes()
	defer suite.Wipe(prime)
	area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: key.N.Bytes()})
	return sensitive(tpm2.TPMAlgRSA, auth, nil, prime), nil
}

// A scalar is a private key on a curve: the number d, as long as the field, and the
// public point as x ‖ y.
type scalar struct{ d, point []byte }

func sensitiveECC(area *tpm2.TPMTPublic, auth []byte, key scalar) []byte {
	defer suite.Wipe(key.d)
	half := len(key.point) / 2
	area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
		X: tpm2.TPM2BECCParameter{Buffer: key.point[:half]},
		Y: tpm2.TPM2BECCParameter{Buffer: key.point[half:]},
	})
	return sensitive(tpm2.TPMAlgECC, auth, nil, key.d)
}

func scalarOf(key *ecdsa.PrivateKey) (scalar, error) {
	d, err := key.Bytes()
	if err != nil {
		return scalar{}, err
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return scalar{}, err
	}
	return scalar{d, point[1:]}, nil
}

func scalarOfSM2(key *sm2.PrivateKey) scalar {
	s := scalar{suite.NewSecret(sm2ciphertext.FieldSize), make([]byte, 2*sm2ciphertext.FieldSize)}
	key.D.FillBytes(s.d)
	key.X.FillBytes(s.point[:sm2ciphertext.FieldSize])
	key.Y.FillBytes(s.point[sm2ciphertext.FieldSize:])
	return s
}

// keyedHash returns the sensitive area of a derivation key, and sets the unique field of
// area: a hash of the material with a random seed.
func keyedHash(area *tpm2.TPMTPublic, auth, material []byte) []byte {
	seed := suite.NewSecret(sha256.Size)
	defer suite.Wipe(seed)
	rand.Read(seed)
	unique := suite.AES.Hash(seed, material)
	area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BDigest{Buffer: unique[:]})
	return sensitive(tpm2.TPMAlgKeyedHash, auth, seed, material)
}
