package drivertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"strongroom.example/driver"
)

var (
	errInterface = errors.New("the key lacks the interface of its usage")
	errResult    = errors.New("a wrong result")
)

// use does the one operation of an open key's usage, on random input, and verifies the
// result. If the result is wrong, the error is not a *driver.Error.
func use(ctx context.Context, k key, opened driver.Key) error {
	switch k.row.Spec.Usage {
	case driver.Derive:
		return usePRF(ctx, opened)
	case driver.Seal:
		return useAEAD(ctx, opened)
	case driver.Sign:
		return useSigner(ctx, k, opened)
	case driver.Decrypt:
		return useDecrypter(ctx, k, opened)
	}
	return nil
}

func usePRF(ctx context.Context, opened driver.Key) error {
	prf, ok := opened.(driver.PRF)
	if !ok {
		return errInterface
	}
	input := randomBytes(32)
	first, err := prf.PRF(ctx, nil, input)
	if err != nil {
		return err
	}
	second, err := prf.PRF(ctx, nil, input)
	if err != nil {
		return err
	}
	if len(first) != 32 || !bytes.Equal(first, second) {
		return errResult
	}
	return nil
}

func useAEAD(ctx context.Context, opened driver.Key) error {
	aead, ok := opened.(driver.AEAD)
	if !ok {
		return errInterface
	}
	plaintext := randomBytes(48)
	ciphertext, err := aead.Seal(ctx, nil, plaintext, []byte("aad"))
	if err != nil {
		return err
	}
	got, err := aead.Open(ctx, nil, ciphertext, []byte("aad"))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, plaintext) {
		return errResult
	}
	return nil
}

func useSigner(ctx context.Context, k key, opened driver.Key) error {
	signer, ok := opened.(driver.Signer)
	if !ok || len(k.row.Sign) == 0 {
		return errInterface
	}
	public, err := parsePublic(k.row.Spec.Algorithm, k.created.PublicDER)
	if err != nil {
		return err
	}
	alg := k.row.Sign[0]
	input := signInput(alg)
	signature, err := signer.Sign(ctx, alg, input)
	if err != nil {
		return err
	}
	if err := verify(public, alg, input, signature); err != nil {
		return fmt.Errorf("%s: %w", alg, err)
	}
	return nil
}

func useDecrypter(ctx context.Context, k key, opened driver.Key) error {
	decrypter, ok := opened.(driver.Decrypter)
	if !ok || len(k.row.Decrypt) == 0 {
		return errInterface
	}
	public, err := parsePublic(k.row.Spec.Algorithm, k.created.PublicDER)
	if err != nil {
		return err
	}
	alg := k.row.Decrypt[0]
	plaintext, ciphertext, err := encrypt(public, alg)
	if err != nil {
		return err
	}
	got, err := decrypter.Decrypt(ctx, nil, alg, ciphertext)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, plaintext) {
		return errResult
	}
	return nil
}

// works opens a key, uses it once and closes it.
func works(t tb, d driver.Driver, k key, what string) {
	t.Helper()
	opened, err := d.OpenKey(context.Background(), k.id, k.row.Spec, k.created.Blob)
	if err != nil {
		t.Errorf("%v: %s: OpenKey: %v", k.row.Spec, what, err)
		return
	}
	defer closeKey(t, opened)
	if err := use(context.Background(), k, opened); err != nil {
		t.Errorf("%v: %s: %v", k.row.Spec, what, err)
	}
}
