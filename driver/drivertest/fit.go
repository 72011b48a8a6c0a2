package drivertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"

	"strongroom.example/driver"
)

// fits returns an error unless a public key is of the algorithm.
func fits(alg driver.KeyAlgorithm, public crypto.PublicKey) error {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if bits := modulusBits(alg); bits != 0 && key.N.BitLen() == bits {
			return nil
		}
	case *ecdsa.PublicKey:
		if curve := curveOf(alg); curve != nil && key.Curve == curve {
			return nil
		}
	case ed25519.PublicKey:
		if alg == driver.Ed25519 {
			return nil
		}
	}
	return fmt.Errorf("a public key of type %T does not fit the algorithm %s", public, alg)
}
