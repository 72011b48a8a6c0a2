package soft

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/driver"
)

// A pair is an asymmetric private key in Go's own struct: *rsa.PrivateKey,
// *ecdsa.PrivateKey, ed25519.PrivateKey or *sm2.PrivateKey. It lives on the heap and
// cannot be wiped there.
type pair struct {
	redacted
	private crypto.Signer
}

// generatePair generates a pair.
func generatePair(alg driver.KeyAlgorithm) (pair, error) {
	var key crypto.Signer
	var err error
	switch alg {
	case driver.Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case driver.SM2:
		key, err = sm2.GenerateKey(rand.Reader)
	default:
		if curve := curveOf(alg); curve != nil {
			key, err = ecdsa.GenerateKey(curve, rand.Reader)
		} else {
			key, err = rsa.GenerateKey(rand.Reader, rsaBits(alg))
		}
	}
	if err != nil {
		return pair{}, err
	}
	return pair{private: key}, nil
}

// curveOf returns an algorithm's NIST curve, or nil.
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

// rsaBits returns the modulus length of an RSA algorithm, or 0.
func rsaBits(alg driver.KeyAlgorithm) int {
	switch alg {
	case driver.RSA2048:
		return 2048
	case driver.RSA3072:
		return 3072
	case driver.RSA4096:
		return 4096
	}
	return 0
}

// parsePair parses the PKCS #8 DER in a blob, which encode wrote. Imported material is
// parsed by package pkcs8 instead, whose rules may become stricter than those that
// existing blobs satisfy.
func parsePair(alg driver.KeyAlgorithm, der []byte) (pair, error) {
	var whole asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &whole); err != nil || len(rest) != 0 {
		return pair{}, errMaterial
	}
	parse := x509.ParsePKCS8PrivateKey
	if alg == driver.SM2 {
		parse = smx509.ParsePKCS8PrivateKey
	}
	// Drop the parser's own error, because it may quote its input.
	key, err := parse(der)
	if err != nil || !fits(alg, key) {
		return pair{}, errMaterial
	}
	return pair{private: key.(crypto.Signer)}, nil
}

// fits reports whether a parsed private key is of algorithm alg.
func fits(alg driver.KeyAlgorithm, key any) bool {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return rsaBits(alg) != 0 && k.N.BitLen() == rsaBits(alg)
	case *ecdsa.PrivateKey:
		return curveOf(alg) != nil && k.Curve == curveOf(alg)
	case ed25519.PrivateKey:
		return alg == driver.Ed25519
	case *sm2.PrivateKey:
		return alg == driver.SM2
	}
	return false
}

// encode returns PKCS #8 and SubjectPublicKeyInfo.
func (p pair) encode() (material, error) {
	private, public := x509.MarshalPKCS8PrivateKey, x509.MarshalPKIXPublicKey
	if _, ok := p.private.(*sm2.PrivateKey); ok {
		private, public = smx509.MarshalPKCS8PrivateKey, smx509.MarshalPKIXPublicKey
	}
	pub, err := public(p.private.Public())
	if err != nil {
		return material{}, errMaterial
	}
	der, err := private(p.private)
	if err != nil {
		return material{}, errMaterial
	}
	return material{private: der, public: pub}, nil
}
