package soft

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
)

const maxMessage = 4096

var errAlgorithm = errors.New("algorithm not offered for this key")

// A signKey is an open private key of usage Sign.
type signKey struct {
	handle
	pair pair
	algs []driver.SignAlg
}

var _ driver.Signer = (*signKey)(nil)

// Sign signs a digest or, with Ed25519, a message.
func (k *signKey) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	const op = "Sign"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if !slices.Contains(k.algs, alg) {
		return nil, fault(op, driver.Unsupported, errAlgorithm)
	}
	if !fitsInput(alg, input) {
		return nil, fault(op, driver.Invalid, errLength)
	}
	sig, err := sign(k.pair.private, alg, input)
	if err != nil {
		return nil, fault(op, driver.Unknown, err)
	}
	return sig, nil
}

// fitsInput reports whether input has the length that alg requires.
func fitsInput(alg driver.SignAlg, input []byte) bool {
	if alg.TakesMessage() {
		return len(input) <= maxMessage
	}
	return len(input) == alg.DigestSize()
}

func sign(key crypto.Signer, alg driver.SignAlg, input []byte) ([]byte, error) {
	if s, ok := key.(*sm2.PrivateKey); ok {
		// Without options, input is the digest e itself.
		return sm2.SignASN1(rand.Reader, s, input, nil)
	}
	return key.Sign(rand.Reader, input, signOpts(alg))
}

// signOpts returns the crypto.SignerOpts for alg.
func signOpts(alg driver.SignAlg) crypto.SignerOpts {
	if alg.IsPSS() {
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: alg.Hash()}
	}
	return alg.Hash()
}
