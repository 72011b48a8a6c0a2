package soft

import (
	"crypto/rand"
	"errors"
	"slices"

	"strongroom.example/driver"
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

// adopt checks imported material. Asymmetric keys are encoded anew, so a blob
// never keeps what a stranger's encoding carries along.
func adopt(alg driver.KeyAlgorithm, raw []byte) (material, error) {
	if !symmetric(alg) {
		pair, err := parsePair(alg, raw)
		if err != nil {
			return material{}, err
		}
		if err := pair.check(); err != nil {
			return material{}, err
		}
		return pair.encode()
	}
	if len(raw) == 32 || alg == driver.HMACSM3 && len(raw) == 16 {
		return material{private: slices.Clone(raw)}, nil
	}
	return material{}, errMaterial
}
