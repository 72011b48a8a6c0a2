//go:build cgo && unix

package pkcs11

import (
	"crypto/elliptic"
	"encoding/asn1"

	"strongroom.example/driver"
)

// curveParams returns CKA_EC_PARAMS: the curve's object identifier in DER (RFC 5480, RFC
// 8410).
func curveParams(alg driver.KeyAlgorithm) []byte {
	identifiers := map[driver.KeyAlgorithm]asn1.ObjectIdentifier{
		driver.ECP256:  {1, 2, 840, 10045, 3, 1, 7},
		driver.ECP384:  {1, 3, 132, 0, 34},
		driver.ECP521:  {1, 3, 132, 0, 35},
		driver.Ed25519: {1, 3, 101, 112},
	}
	der, err := asn1.Marshal(identifiers[alg])
	if err != nil {
		panic(err) // the identifiers are constants
	}
	return der
}

// curveOf returns the NIST curve of an algorithm, or nil.
func curveOf(alg driver.KeyAlgorithm) elliptic.Curve {
	switch alg {
	case driver.ECP256:
		return elliptic.P256()
	case driver.ECP384:
		return elliptic.P384()
	case driver.ECP521:
		return elliptic.P521()
	}
	return nil
}
