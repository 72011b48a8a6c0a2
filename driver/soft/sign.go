package soft

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

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
	if !alg.FitsInput(len(input)) {
		return nil, fault(op, driver.Invalid, errLength)
	}
	sig, err := sign(k.pair.private, alg, input)
	if err != nil {
		return nil, fault(op, driver.Unknown, err)
	}
	return sig, nil
}

// sign signs. Ed25519 is done by package suite, because the standard library keeps a copy
// of each private key that signs in a cache.
func sign(key crypto.Signer, alg driver.SignAlg, input []byte) ([]byte, error) {
	switch key := key.(type) {
	case *sm2.PrivateKey:
		// Without options, input is the digest e itself.
		return sm2.SignASN1(rand.Reader, key, input, nil)
	case ed25519.PrivateKey:
		return suite.SignEd25519(key, input), nil
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
