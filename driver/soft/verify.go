package soft

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
	"strongroom.example/internal/keyder"
)

var (
	errPublic    = errors.New("public key of a wrong form or kind")
	errSignature = errors.New("signature does not verify")
)

// Verify verifies a signature in software. The public key is X.509 SubjectPublicKeyInfo,
// and input is that of [driver.Signer].
//
// Errors:
//   - Authentic: the signature does not verify or, on a curve, is not strict DER.
//   - Invalid: the key is not one for alg (RSA of 2048, 3072 or 4096 bits, or the curve
//     that belongs to the digest), or input has a wrong length.
//   - Unsupported: alg is unknown.
func Verify(publicDER []byte, alg driver.SignAlg, input, signature []byte) error {
	const op = "Verify"
	check := verifier(alg)
	if check == nil {
		return fault(op, driver.Unsupported, errAlgorithm)
	}
	if !alg.FitsInput(len(input)) {
		return fault(op, driver.Invalid, errLength)
	}
	key, err := parsePublic(alg, publicDER)
	if err != nil {
		return fault(op, driver.Invalid, errPublic)
	}
	switch err := check(key, alg, input, signature); {
	case errors.Is(err, errPublic):
		return fault(op, driver.Invalid, errPublic)
	case err != nil:
		return fault(op, driver.Authentic, errSignature)
	}
	return nil
}

func parsePublic(alg driver.SignAlg, der []byte) (any, error) {
	if alg == driver.SM2DSA {
		return keyder.ParsePublic(der)
	}
	return x509.ParsePKIXPublicKey(der)
}

type verifyFunc func(key any, alg driver.SignAlg, input, signature []byte) error

func verifier(alg driver.SignAlg) verifyFunc {
	switch alg {
	case driver.RSAPKCS1SHA256, driver.RSAPKCS1SHA384, driver.RSAPKCS1SHA512,
		driver.RSAPSSSHA256, driver.RSAPSSSHA384, driver.RSAPSSSHA512:
		return verifyRSA
	case driver.ECDSASHA256, driver.ECDSASHA384, driver.ECDSASHA512:
		return verifyECDSA
	case driver.SM2DSA:
		return verifySM2
	case driver.EdDSAEd25519:
		return verifyEd25519
	}
	return nil
}

func verifyRSA(key any, alg driver.SignAlg, digest, signature []byte) error {
	k, ok := key.(*rsa.PublicKey)
	if !ok || k.N.BitLen() != 2048 && k.N.BitLen() != 3072 && k.N.BitLen() != 4096 {
		return errPublic
	}
	if opts, ok := signOpts(alg).(*rsa.PSSOptions); ok {
		return rsa.VerifyPSS(k, opts.Hash, digest, signature, opts)
	}
	return rsa.VerifyPKCS1v15(k, alg.Hash(), digest, signature)
}

func verifyECDSA(key any, alg driver.SignAlg, digest, signature []byte) error {
	k, ok := key.(*ecdsa.PublicKey)
	if !ok || k.Curve != ecdsaKey(alg).Curve() {
		return errPublic
	}
	if !ecdsa.VerifyASN1(k, digest, signature) {
		return errSignature
	}
	return nil
}

// ecdsaKey returns the key algorithm that belongs to a digest.
func ecdsaKey(alg driver.SignAlg) driver.KeyAlgorithm {
	switch alg {
	case driver.ECDSASHA384:
		return driver.ECP384
	case driver.ECDSASHA512:
		return driver.ECP521
	}
	return driver.ECP256
}

func verifySM2(key any, _ driver.SignAlg, e, signature []byte) error {
	k, ok := key.(*ecdsa.PublicKey)
	if !ok || !sm2.IsSM2PublicKey(k) {
		return errPublic
	}
	if !sm2.VerifyASN1(k, e, signature) {
		return errSignature
	}
	return nil
}

func verifyEd25519(key any, _ driver.SignAlg, message, signature []byte) error {
	k, ok := key.(ed25519.PublicKey)
	if !ok {
		return errPublic
	}
	if !ed25519.Verify(k, message, signature) {
		return errSignature
	}
	return nil
}
