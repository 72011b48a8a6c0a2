//go:build cgo && unix

package object

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"math/big"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

// recoverPublic computes the public key of an ECDSA key from a signature. A token does
// not store it for a private key that it unwrapped, and cannot make a public key object
// from the private key alone.
//
// The digest 0 gives s = r·d/k (FIPS 186-5, section 6.4.1), and so d·G = s/r · k·G, where
// r is the x of k·G. The two possible y differ in sign, and so do the results; a
// signature over a random digest selects one. The signature over 0 reveals nothing and
// signs nothing, because anyone can forge one.
func (o *Object) recoverPublic(s Session) (*ecdsa.PublicKey, error) {
	alg := o.Shape.Spec.Algorithm.SignAlgs()[0]
	pair := make([]byte, SignatureSize(o.Shape))
	err := o.fill(s, cryptoki.Call{Op: cryptoki.OpSign, Mechanism: p11.CKM_ECDSA, In: make([]byte, alg.DigestSize()), Out: pair})
	if err != nil {
		return nil, err
	}
	both, err := recoverPoints(o.Shape.Spec.Algorithm, pair)
	if err != nil {
		return nil, cryptoki.Fault("C_Sign", driver.Unknown, errPoint)
	}
	for _, key := range both {
		switch err := o.VerifySign(s, alg, key); {
		case err == nil:
			return key, nil
		case !errors.Is(err, ErrWrongResult):
			return nil, err
		}
	}
	return nil, cryptoki.Fault("C_Sign", driver.Unknown, errPoint)
}

// recoverPoints returns the two public keys under which r ‖ s can be a signature over the
// digest 0.
func recoverPoints(alg driver.KeyAlgorithm, pair []byte) ([]*ecdsa.PublicKey, error) {
	half, order := len(pair)/2, alg.Curve().Params().N
	inverse := new(big.Int).ModInverse(new(big.Int).SetBytes(pair[:half]), order)
	if inverse == nil {
		return nil, errPoint
	}
	factor := new(big.Int).SetBytes(pair[half:])
	factor.Mod(factor.Mul(factor, inverse), order)
	x, err := multiply(alg, factor.FillBytes(make([]byte, half)), pair[:half])
	if err != nil {
		return nil, err
	}
	var both []*ecdsa.PublicKey
	for _, sign := range []byte{2, 3} {
		key, err := ecdsa.ParseUncompressedPublicKey(alg.Curve(), uncompress(alg, sign, x))
		if err != nil {
			return nil, err
		}
		both = append(both, key)
	}
	return both, nil
}

// multiply returns the x of factor times a point, which depends only on the point's x.
func multiply(alg driver.KeyAlgorithm, factor, x []byte) ([]byte, error) {
	curve := map[driver.KeyAlgorithm]ecdh.Curve{driver.ECP256: ecdh.P256(), driver.ECP384: ecdh.P384(), driver.ECP521: ecdh.P521()}[alg]
	scalar, err := curve.NewPrivateKey(factor)
	if err != nil {
		return nil, err
	}
	point, err := curve.NewPublicKey(uncompress(alg, 2, x))
	if err != nil {
		return nil, err
	}
	return scalar.ECDH(point)
}

// uncompress returns 4 ‖ x ‖ y of a point (SEC 1, section 2.3.3), or nil if no point has
// x. sign is 2 or 3.
func uncompress(alg driver.KeyAlgorithm, sign byte, x []byte) []byte {
	_, y := elliptic.UnmarshalCompressed(alg.Curve(), append([]byte{sign}, x...))
	if y == nil {
		return nil
	}
	return append(append([]byte{4}, x...), y.FillBytes(make([]byte, len(x)))...)
}
