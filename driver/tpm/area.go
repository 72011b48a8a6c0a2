package tpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
	"github.com/google/go-tpm/tpm2"
)

var errArea = errors.New("a public area that is none of this driver's keys")

// parseArea parses a public area. It accepts no other encoding than the one it would
// marshal.
func parseArea(b []byte) (*tpm2.TPMTPublic, error) {
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](b)
	if err != nil || !bytes.Equal(tpm2.Marshal(area), b) {
		return nil, errArea
	}
	return area, nil
}

// check returns an error unless area is that of a key of this kind with the given
// binding: everything but the public key itself must be as this driver makes it.
func (k kind) check(area *tpm2.TPMTPublic, binding []byte) error {
	want := k.area(binding)
	if area.Type != want.Type {
		return errDamaged
	}
	if a := area.ObjectAttributes; !a.FixedTPM && !a.FixedParent && !a.SensitiveDataOrigin {
		want = imported(want)
	}
	stripped := *area
	stripped.Unique = want.Unique
	if !bytes.Equal(tpm2.Marshal(stripped), tpm2.Marshal(want)) {
		return errDamaged
	}
	return nil
}

// imported returns area with the attributes of a key that was generated outside the TPM.
func imported(area tpm2.TPMTPublic) tpm2.TPMTPublic {
	a := &area.ObjectAttributes
	a.FixedTPM, a.FixedParent, a.SensitiveDataOrigin = false, false, false
	return area
}

// publicDER returns the public key as SubjectPublicKeyInfo, or nil for a symmetric key.
func publicDER(area *tpm2.TPMTPublic) ([]byte, error) {
	switch area.Type {
	case tpm2.TPMAlgRSA:
		n, err := area.Unique.RSA()
		if err != nil {
			return nil, err
		}
		return x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(n.Buffer), E: 65537})
	case tpm2.TPMAlgECC:
		return pointDER(area)
	}
	return nil, nil
}

func pointDER(area *tpm2.TPMTPublic) ([]byte, error) {
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
		return nil, errArea
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
		return smx509.MarshalPKIXPublicKey(key)
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

// parseSM2Public parses the public key of an SM2 key.
func parseSM2Public(der []byte) (*ecdsa.PublicKey, error) {
	key, err := smx509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	if public, ok := key.(*ecdsa.PublicKey); ok {
		return public, nil
	}
	return nil, errArea
}
