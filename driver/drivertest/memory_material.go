package drivertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/driver"
	"strongroom.example/internal/pkcs8"
)

// material is a key in the clear: raw bytes if it is symmetric, else a private key of the
// standard library or gmsm.
type material struct {
	raw     []byte
	private crypto.Signer
}

var errMaterial = errors.New("material of a wrong length or form")

func symmetric(alg driver.KeyAlgorithm) bool {
	return alg == driver.HMACSHA256 || alg == driver.HMACSM3 || alg == driver.AES256GCM
}

// generate returns fresh material.
func generate(alg driver.KeyAlgorithm) (material, error) {
	if symmetric(alg) {
		raw := make([]byte, 32)
		rand.Read(raw)
		return material{raw: raw}, nil
	}
	private, err := generatePrivate(alg)
	return material{private: private}, err
}

func generatePrivate(alg driver.KeyAlgorithm) (crypto.Signer, error) {
	switch alg {
	case driver.RSA2048, driver.RSA3072, driver.RSA4096:
		return rsa.GenerateKey(rand.Reader, modulusBits(alg))
	case driver.ECP256, driver.ECP384, driver.ECP521:
		return ecdsa.GenerateKey(curveOf(alg), rand.Reader)
	case driver.Ed25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case driver.SM2:
		return sm2.GenerateKey(rand.Reader)
	}
	return nil, errSpec
}

// modulusBits returns the size of an RSA key, 0 for other algorithms.
func modulusBits(alg driver.KeyAlgorithm) int {
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

// curveOf returns the curve of an elliptic algorithm, nil for others.
func curveOf(alg driver.KeyAlgorithm) elliptic.Curve {
	switch alg {
	case driver.ECP256:
		return elliptic.P256()
	case driver.ECP384:
		return elliptic.P384()
	case driver.ECP521:
		return elliptic.P521()
	case driver.SM2:
		return sm2.P256()
	}
	return nil
}

// parse parses material in its import encoding.
func parse(spec driver.KeySpec, in []byte) (material, error) {
	if symmetric(spec.Algorithm) {
		if len(in) != 32 && (spec.Algorithm != driver.HMACSM3 || len(in) != 16) {
			return material{}, errMaterial
		}
		return material{raw: slices.Clone(in)}, nil
	}
	key, err := pkcs8.Parse(spec, in)
	return material{private: key.Private}, err
}

// encode is the inverse of parse.
func (m material) encode() ([]byte, error) {
	if m.private == nil {
		return slices.Clone(m.raw), nil
	}
	return smx509.MarshalPKCS8PrivateKey(m.private)
}

// public returns SubjectPublicKeyInfo, nil for symmetric material.
func (m material) public() ([]byte, error) {
	if m.private == nil {
		return nil, nil
	}
	return smx509.MarshalPKIXPublicKey(m.private.Public())
}
