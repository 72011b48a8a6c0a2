package tpm

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// adopt checks material that is imported, puts its public half into area, and returns
// its sensitive one, marshalled, which the caller wipes.
func adopt(k kind, area *tpm2.TPMTPublic, auth, material []byte) ([]byte, error) {
	if k.row.Spec.Usage == driver.Derive {
		if len(material) != 32 {
			return nil, errMaterial
		}
		return keyedHash(area, auth, material), nil
	}
	private, err := parsePrivate(k, material)
	if err != nil {
		return nil, errMaterial
	}
	switch key := private.(type) {
	case *rsa.PrivateKey:
		return adoptRSA(area, auth, key)
	case *ecdsa.PrivateKey:
		if k.curve != 0 && key.Curve == curveOf(k.curve) {
			s, err := scalarOf(key)
			return adoptCurve(area, auth, s), err
		}
	case *sm2.PrivateKey:
		if k.curve == tpm2.TPMECCSM2P256 {
			return adoptCurve(area, auth, scalarOfSM2(key)), nil
		}
	}
	return nil, errMaterial
}

// sensitive is a TPMT_SENSITIVE, marshalled by hand so that no copy is left.
func sensitive(kind tpm2.TPMAlgID, auth, seed, private []byte) []byte {
	parts := sizedAll(auth, seed, private)
	defer suite.Wipe(parts)
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(parts)), uint16(kind))
	return append(b, parts...)
}

// parsePrivate reads PKCS #8 DER with nothing after it.
func parsePrivate(k kind, der []byte) (any, error) {
	var whole asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &whole); err != nil || len(rest) != 0 {
		return nil, errMaterial
	}
	if k.curve == tpm2.TPMECCSM2P256 {
		return smx509.ParsePKCS8PrivateKey(der)
	}
	return x509.ParsePKCS8PrivateKey(der)
}

// adoptRSA takes what FIPS 186-5 allows and the TPM keeps: two distinct primes of half
// the length. Of those it stores one.
func adoptRSA(area *tpm2.TPMTPublic, auth []byte, key *rsa.PrivateKey) ([]byte, error) {
	if area.Type != tpm2.TPMAlgRSA || key.N.BitLen() != 2048 || key.E != 65537 || len(key.Primes) != 2 || key.Validate() != nil {
		return nil, errMaterial
	}
	for _, p := range key.Primes {
		if p.BitLen() != 1024 || !p.ProbablyPrime(8) {
			return nil, errMaterial
		}
	}
	if key.Primes[0].Cmp(key.Primes[1]) == 0 {
		return nil, errMaterial
	}
	prime := key.Primes[0].Bytes()
	defer suite.Wipe(prime)
	area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: key.N.Bytes()})
	return sensitive(tpm2.TPMAlgRSA, auth, nil, prime), nil
}

// A scalar is a private key on a curve: numbers as long as the field, and the point as
// x ‖ y.
type scalar struct{ d, point []byte }

func adoptCurve(area *tpm2.TPMTPublic, auth []byte, key scalar) []byte {
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
	s := scalar{make([]byte, sm2Size), make([]byte, 2*sm2Size)}
	key.D.FillBytes(s.d)
	key.X.FillBytes(s.point[:sm2Size])
	key.Y.FillBytes(s.point[sm2Size:])
	return s
}
