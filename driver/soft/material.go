package soft

import (
	"crypto/rand"
	"errors"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/internal/pkcs8"
)

// material is a key in the clear: private as raw bytes or PKCS #8, which whoever
// holds it wipes, and public as SubjectPublicKeyInfo.
type material struct {
	private, public []byte
}

var errMaterial = errors.New("material of a wrong length or form")

// symmetric reports whether an algorithm's material is raw bytes.
func symmetric(alg driver.KeyAlgorithm) bool {
	return alg == driver.HMACSHA256 || alg == driver.HMACSM3
}

// generate makes fresh material.
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

// adopt checks imported material. Asymmetric keys are encoded again, so that a blob
// keeps nothing else that the imported encoding has, such as attributes.
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
