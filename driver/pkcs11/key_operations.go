//go:build cgo && unix

package pkcs11

import (
	"context"
	"crypto/rsa"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/driver/pkcs11/internal/object"
	"strongroom.example/internal/suite"
)

// A prfKey is an HMAC key (FIPS 198-1) in the token.
type prfKey struct{ *handle }

var _ driver.PRF = (*prfKey)(nil)

// PRF appends the HMAC of input to dst. Input over driver.MaxInput bytes is Invalid.
func (k *prfKey) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	if !hasDeadline(ctx) {
		return k.prf(ctx, dst, input)
	}
	in := slices.Clone(input)
	return boundedAppend(ctx, dst, func() ([]byte, error) {
		defer suite.Wipe(in)
		return k.prf(ctx, nil, in)
	})
}

func (k *prfKey) prf(ctx context.Context, dst, input []byte) ([]byte, error) {
	const op = "PRF"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if len(input) > driver.MaxInput {
		return nil, cryptoki.Fault(op, driver.Invalid, errLength)
	}
	return appendInto(dst, k.object.Shape.Spec.Algorithm.MACSize(), func(out []byte) (n int, err error) {
		err = k.driver.client.Run(ctx, func(s object.Session) (err error) {
			n, err = k.object.HMAC(s, out, input)
			return err
		})
		return n, err
	})
}

// A signKey is a private key with usage Sign.
type signKey struct {
	*handle
	algs []driver.SignAlg
	size int
}

var _ driver.Signer = (*signKey)(nil)

// Sign signs a digest or, with Ed25519, a message of at most 4096 bytes.
func (k *signKey) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	if !hasDeadline(ctx) {
		return k.sign(ctx, alg, input)
	}
	in := slices.Clone(input)
	return bounded(ctx, func() ([]byte, error) {
		defer suite.Wipe(in)
		return k.sign(ctx, alg, in)
	}, keep)
}

func (k *signKey) sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	const op = "Sign"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if !slices.Contains(k.algs, alg) {
		return nil, cryptoki.Fault(op, driver.Unsupported, errAlgorithm)
	}
	if !alg.FitsInput(len(input)) {
		return nil, cryptoki.Fault(op, driver.Invalid, errLength)
	}
	var signature []byte
	err := k.driver.client.Run(ctx, func(s object.Session) (err error) {
		signature, err = k.object.Sign(s, alg, input)
		return err
	})
	return signature, err
}

// A decryptKey is an RSA private key with usage Decrypt.
type decryptKey struct {
	*handle
	algs   []driver.EncryptAlg
	public *rsa.PublicKey
}

var _ driver.Decrypter = (*decryptKey)(nil)

// Decrypt appends the plaintext to dst. If the token does not support the OAEP variant,
// the driver removes the padding itself after raw RSA; the padded plaintext is then in
// the host's memory.
func (k *decryptKey) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	if !hasDeadline(ctx) {
		return k.decrypt(ctx, dst, alg, ciphertext)
	}
	in := slices.Clone(ciphertext)
	return boundedAppend(ctx, dst, func() ([]byte, error) { return k.decrypt(ctx, nil, alg, in) })
}

func (k *decryptKey) decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	const op = "Decrypt"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if !slices.Contains(k.algs, alg) {
		return nil, cryptoki.Fault(op, driver.Unsupported, errAlgorithm)
	}
	if !object.BelowModulus(ciphertext, k.public) {
		return nil, cryptoki.Fault("C_Decrypt", driver.Authentic, cryptoki.ErrCiphertext)
	}
	return appendInto(dst, k.public.Size(), func(out []byte) (n int, err error) {
		err = k.driver.client.Run(ctx, func(s object.Session) (err error) {
			n, err = k.object.Decrypt(s, object.Decryption{Alg: alg, Native: k.driver.able.Native[alg], Ciphertext: ciphertext, Out: out})
			return err
		})
		return n, err
	})
}
