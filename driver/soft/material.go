package soft

import (
	"crypto/rand"
	"errors"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/internal/pkcs8"
)

// material is a key in the clear. private is raw bytes or PKCS #8, which the holder
// wipes; public is SubjectPublicKeyInfo.
type material struct {
	private, public []byte
}

var errMaterial = errors.New("material of a wrong length or form")

// symmetric reports whether the material of an algorithm is raw bytes.
func symmetric(alg driver.KeyAlgorithm) bool {
	return alg == driver.HMACSHA256 || alg == driver.HMACSM3
}

// generate returns fresh material.
func generate(alg driver.KeyAlgorithm) (material, error) {
	if symmetric(alg) {
		raw := make([]byte, 32)
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
	if !symmetric(spec.Algorithm) {
		key, err := pkcs8.Parse(spec, raw)
		if err != nil {
			return material{}, err
		}
		defer key.Wipe()
		return pair{private: key.Private}.encode()
	}
	if len(raw) == 32 || spec.Algorithm == driver.HMACSM3 && len(raw) == 16 {
		return material{private: slices.Clone(raw)}, nil
	}
	return material{}, errMaterial
}
