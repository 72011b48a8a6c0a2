package soft

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"slices"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
	"strongroom.example/internal/keyder"
	"strongroom.example/internal/pkcs8"
	"strongroom.example/internal/suite"
)

// material is a key in the clear. private is raw bytes or PKCS #8, which the holder
// wipes; public is SubjectPublicKeyInfo.
type material struct {
	private, public []byte
}

var errMaterial = errors.New("material of a wrong length or form")

// generate returns fresh material.
func generate(alg driver.KeyAlgorithm) (material, error) {
	if alg.Symmetric() {
		raw := suite.NewSecret(alg.MACSize())
		rand.Read(raw)
		return material{private: raw}, nil
	}
	pair, err := generatePair(alg)
	if err != nil {
		return material{}, err
	}
	return pair.encode()
}

// adopt checks imported material. It encodes an asymmetric key again, so that the blob
// holds nothing else that the imported encoding may contain, such as attributes.
func adopt(spec driver.KeySpec, raw []byte) (material, error) {
	if !spec.Algorithm.Symmetric() {
		key, err := pkcs8.Parse(spec, raw)
		if err != nil {
			return material{}, err
		}
		defer key.Wipe()
		return pair{private: key.Private}.encode()
	}
	if spec.Algorithm.FitsMaterial(len(raw)) {
		return material{private: slices.Clone(raw)}, nil
	}
	return material{}, errMaterial
}

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
		if curve := alg.Curve(); curve != nil {
			key, err = ecdsa.GenerateKey(curve, rand.Reader)
		} else {
			key, err = rsa.GenerateKey(rand.Reader, alg.ModulusBits())
		}
	}
	if err != nil {
		return pair{}, err
	}
	return pair{private: key}, nil
}

// GeneratePair makes a key pair in software: the private key as PKCS #8 DER, which the caller
// wipes, and the public key as X.509 SubjectPublicKeyInfo. The private key also is on the heap
// in Go's own struct, which cannot be wiped. Errors: [driver.Unsupported] for a symmetric
// algorithm, and for SM2 in a process that enforces FIPS 140.
func GeneratePair(alg driver.KeyAlgorithm) (private, public []byte, err error) {
	const op = "GeneratePair"
	if alg.Symmetric() || alg.Curve() == nil && alg.ModulusBits() == 0 && alg != driver.Ed25519 && alg != driver.SM2 || alg == driver.SM2 && fips140.Enforced() {
		return nil, nil, fault(op, driver.Unsupported, errAlgorithm)
	}
	m, err := generate(alg)
	if err != nil {
		return nil, nil, fault(op, driver.Unknown, err)
	}
	return m.private, m.public, nil
}

// parsePair parses the PKCS #8 DER in a blob, which encode wrote. Imported material is
// parsed by package pkcs8 instead, whose rules may become stricter than those that
// existing blobs satisfy.
func parsePair(alg driver.KeyAlgorithm, der []byte) (pair, error) {
	var whole asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &whole); err != nil || len(rest) != 0 {
		return pair{}, errMaterial
	}
	// Drop the parser's own error, because it may quote its input.
	key, err := keyder.ParsePrivate(der)
	if err != nil || !fits(alg, key) {
		return pair{}, errMaterial
	}
	return pair{private: key.(crypto.Signer)}, nil
}

// fits reports whether a parsed private key is of algorithm alg.
func fits(alg driver.KeyAlgorithm, key any) bool {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return k.N.BitLen() == alg.ModulusBits()
	case *ecdsa.PrivateKey:
		return k.Curve == alg.Curve()
	case ed25519.PrivateKey:
		return alg == driver.Ed25519
	case *sm2.PrivateKey:
		return alg == driver.SM2
	}
	return false
}

// encode returns PKCS #8 and SubjectPublicKeyInfo.
func (p pair) encode() (material, error) {
	pub, err := keyder.MarshalPublic(p.private.Public())
	if err != nil {
		return material{}, errMaterial
	}
	der, err := keyder.MarshalPrivate(p.private)
	if err != nil {
		return material{}, errMaterial
	}
	return material{private: der, public: pub}, nil
}
