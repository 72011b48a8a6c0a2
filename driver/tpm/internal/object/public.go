// Package object makes and checks the public and the private areas of keys (TPM 2.0 Library,
// Part 2, 12).
package object

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"

	"github.com/emmansun/gmsm/sm2"
	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/format"
	"strongroom.example/internal/keyder"
)

// A Kind is a key spec in the TPM's terms.
type Kind struct {
	Row   driver.SpecInfo
	Curve tpm2.TPMECCCurve // 0 if not on a curve
	Hash  tpm2.TPMAlgID    // that of HMAC; 0 for a key pair
}

// Area returns the public Area of a key. binding is its authPolicy.
func (k Kind) Area(binding []byte) tpm2.TPMTPublic {
	usage := k.Row.Spec.Usage
	t := tpm2.TPMTPublic{
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM:            true,
			FixedParent:         true,
			SensitiveDataOrigin: true,
			UserWithAuth:        true,
			NoDA:                true,
			SignEncrypt:         usage != driver.Decrypt,
			Decrypt:             usage == driver.Decrypt,
		},
		AuthPolicy: tpm2.TPM2BDigest{Buffer: binding},
	}
	switch {
	case usage == driver.Derive:
		t.Type = tpm2.TPMAlgKeyedHash
		t.Parameters = tpm2.NewTPMUPublicParms(t.Type, &tpm2.TPMSKeyedHashParms{Scheme: tpm2.TPMTKeyedHashScheme{
			Scheme:  tpm2.TPMAlgHMAC,
			Details: tpm2.NewTPMUSchemeKeyedHash(tpm2.TPMAlgHMAC, &tpm2.TPMSSchemeHMAC{HashAlg: k.Hash}),
		}})
		t.Unique = tpm2.NewTPMUPublicID(t.Type, &tpm2.TPM2BDigest{})
	case k.Curve != 0:
		t.Type = tpm2.TPMAlgECC
		t.Parameters = tpm2.NewTPMUPublicParms(t.Type, &tpm2.TPMSECCParms{CurveID: k.Curve})
		t.Unique = tpm2.NewTPMUPublicID(t.Type, &tpm2.TPMSECCPoint{})
	default:
		t.Type = tpm2.TPMAlgRSA
		t.Parameters = tpm2.NewTPMUPublicParms(t.Type, &tpm2.TPMSRSAParms{KeyBits: 2048})
		t.Unique = tpm2.NewTPMUPublicID(t.Type, &tpm2.TPM2BPublicKeyRSA{})
	}
	return t
}

// ErrArea is the error for a public area that the driver does not use.
var ErrArea = errors.New("a public area that is not of a key of this driver")

// ParseArea parses a public area. It accepts no other encoding than the one it would
// marshal.
func ParseArea(b []byte) (*tpm2.TPMTPublic, error) {
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](b)
	if err != nil || !bytes.Equal(tpm2.Marshal(area), b) {
		return nil, ErrArea
	}
	return area, nil
}

// Check returns an error unless area is that of a key of this kind with the given
// binding: everything but the public key itself must be as this driver makes it.
func (k Kind) Check(area *tpm2.TPMTPublic, binding []byte) error {
	want := k.Area(binding)
	if area.Type != want.Type {
		return format.ErrDamaged
	}
	if a := area.ObjectAttributes; !a.FixedTPM && !a.FixedParent && !a.SensitiveDataOrigin {
		want = Imported(want)
	}
	stripped := *area
	stripped.Unique = want.Unique
	if !bytes.Equal(tpm2.Marshal(stripped), tpm2.Marshal(want)) {
		return format.ErrDamaged
	}
	return nil
}

// Imported returns area with the attributes of a key that was generated outside the TPM.
func Imported(area tpm2.TPMTPublic) tpm2.TPMTPublic {
	a := &area.ObjectAttributes
	a.FixedTPM, a.FixedParent, a.SensitiveDataOrigin = false, false, false
	return area
}

// PublicDER returns the public key as SubjectPublicKeyInfo, or nil for a symmetric key.
func PublicDER(area *tpm2.TPMTPublic) ([]byte, error) {
	switch area.Type {
	case tpm2.TPMAlgRSA:
		n, err := area.Unique.RSA()
		if err != nil {
			return nil, err
		}
		return x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(n.Buffer), E: 65537})
	case tpm2.TPMAlgECC:
		return PointDER(area)
	}
	return nil, nil
}

// PointDER is PublicDER for a key on a curve.
func PointDER(area *tpm2.TPMTPublic) ([]byte, error) {
	params, err := area.Parameters.ECCDetail()
	if err != nil {
		return nil, err
	}
	p, err := area.Unique.ECC()
	if err != nil {
		return nil, err
	}
	curve := curveOf(params.CurveID)
	size := 32
	if curve != nil {
		size = (curve.Params().BitSize + 7) / 8
	}
	if len(p.X.Buffer) > size || len(p.Y.Buffer) > size {
		return nil, ErrArea
	}
	point := make([]byte, 1+2*size)
	point[0] = 4
	copy(point[1+size-len(p.X.Buffer):], p.X.Buffer)
	copy(point[1+2*size-len(p.Y.Buffer):], p.Y.Buffer)
	if curve == nil {
		key, err := sm2.NewPublicKey(point)
		if err != nil {
			return nil, err
		}
		return keyder.MarshalPublic(key)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKIXPublicKey(key)
}

// curveOf returns the NIST curve, or nil for the SM2 curve.
func curveOf(id tpm2.TPMECCCurve) elliptic.Curve {
	switch id {
	case tpm2.TPMECCNistP256:
		return elliptic.P256()
	case tpm2.TPMECCNistP384:
		return elliptic.P384()
	case tpm2.TPMECCNistP521:
		return elliptic.P521()
	}
	return nil
}

// ParseSM2Public parses the public key of an SM2 key.
func ParseSM2Public(der []byte) (*ecdsa.PublicKey, error) {
	key, err := keyder.ParsePublic(der)
	if err != nil {
		return nil, err
	}
	if public, ok := key.(*ecdsa.PublicKey); ok {
		return public, nil
	}
	return nil, ErrArea
}

// errCounts rejects a key with an empty authorization too: that is never wrong, but does
// not make such a key harmless.
var errCounts = errors.New("the key in the file takes part in the TPM's protection against dictionary attacks, where a power cut counts as an attack: make it with noda (tpm2_create -a ...|noda)")

// CheckFile returns an error unless a key from a file, of the given area, can be used as
// this kind.
func (k Kind) CheckFile(area *tpm2.TPMTPublic) error {
	usage, a := k.Row.Spec.Usage, area.ObjectAttributes
	fits := usage == driver.Sign && a.SignEncrypt || usage == driver.Decrypt && a.Decrypt
	if fits && !a.NoDA {
		return errCounts
	}
	if !fits || a.Restricted || !a.UserWithAuth || area.NameAlg != tpm2.TPMAlgSHA256 {
		return format.ErrKeyFile
	}
	switch area.Type {
	case tpm2.TPMAlgRSA:
		p, err := area.Parameters.RSADetail()
		if err != nil || k.Curve != 0 || p.KeyBits != 2048 || p.Exponent != 0 && p.Exponent != 65537 || p.Scheme.Scheme != tpm2.TPMAlgNull {
			return format.ErrKeyFile
		}
		return nil
	case tpm2.TPMAlgECC:
		p, err := area.Parameters.ECCDetail()
		if err != nil || k.Curve == 0 || p.CurveID != k.Curve || p.Scheme.Scheme != tpm2.TPMAlgNull {
			return format.ErrKeyFile
		}
		return nil
	}
	return format.ErrKeyFile
}
