package drivertest

import (
	"context"

	"strongroom.example/driver"
)

// A faultyKey is a key of a Faulty. It implements the interface of the inner key.
type faultyKey struct {
	driver.Key
	of *Faulty
}

// Lookups returns the inner key's Lookups, or 0 if that key is not Tracked.
func (k faultyKey) Lookups() uint64 {
	if inner, ok := k.Key.(driver.Tracked); ok {
		return inner.Lookups()
	}
	return 0
}

func (f *Faulty) wrap(key driver.Key) driver.Key {
	outer := faultyKey{Key: key, of: f}
	switch inner := key.(type) {
	case driver.PRF:
		return faultyPRF{outer, inner}
	case driver.AEAD:
		return faultyAEAD{outer, inner}
	case driver.Signer:
		return faultySigner{outer, inner}
	case driver.Decrypter:
		return faultyDecrypter{outer, inner}
	}
	return outer
}

// output runs a call that appends to dst. If a fault discards the output, output wipes
// it.
func (f *Faulty) output(ctx context.Context, m Method, dst []byte, act func() ([]byte, error)) ([]byte, error) {
	out := dst
	err := f.do(ctx, m, func() (err error) {
		out, err = act()
		return err
	})
	if err == nil {
		return out, nil
	}
	if len(out) > len(dst) {
		clear(out[len(dst):])
	}
	return dst, err
}

type faultyPRF struct {
	faultyKey
	inner driver.PRF
}

func (k faultyPRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	return k.of.output(ctx, MethodPRF, dst, func() ([]byte, error) { return k.inner.PRF(ctx, dst, input) })
}

type faultyAEAD struct {
	faultyKey
	inner driver.AEAD
}

func (k faultyAEAD) Seal(ctx context.Context, dst, plaintext, aad []byte) ([]byte, error) {
	return k.of.output(ctx, MethodSeal, dst, func() ([]byte, error) { return k.inner.Seal(ctx, dst, plaintext, aad) })
}

func (k faultyAEAD) Open(ctx context.Context, dst, ciphertext, aad []byte) ([]byte, error) {
	return k.of.output(ctx, MethodOpen, dst, func() ([]byte, error) { return k.inner.Open(ctx, dst, ciphertext, aad) })
}

type faultySigner struct {
	faultyKey
	inner driver.Signer
}

func (k faultySigner) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	return k.of.output(ctx, MethodSign, nil, func() ([]byte, error) { return k.inner.Sign(ctx, alg, input) })
}

type faultyDecrypter struct {
	faultyKey
	inner driver.Decrypter
}

func (k faultyDecrypter) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	return k.of.output(ctx, MethodDecrypt, dst, func() ([]byte, error) { return k.inner.Decrypt(ctx, dst, alg, ciphertext) })
}
