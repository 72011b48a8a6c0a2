package drivertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"strongroom.example/driver"
)

var (
	errInterface = errors.New("the key lacks the interface of its usage")
	errResult    = errors.New("a wrong result")
)

// use does the one operation of an open key's usage, on random input, and verifies the
// result. If the result is wrong, the error is not a *driver.Error.
func use(ctx context.Context, k createdKey, opened driver.Key) error {
	switch k.row.Spec.Usage {
	case driver.Derive:
		return usePRF(ctx, k, opened)
	case driver.Sign:
		return useSigner(ctx, k, opened)
	case driver.Decrypt:
		return useDecrypter(ctx, k, opened)
	}
	return nil
}

func usePRF(ctx context.Context, k createdKey, opened driver.Key) error {
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
	if len(first) != k.row.Spec.Algorithm.MACSize() || !bytes.Equal(first, second) {
		return errResult
	}
	return nil
}

func useSigner(ctx context.Context, k createdKey, opened driver.Key) error {
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

func useDecrypter(ctx context.Context, k createdKey, opened driver.Key) error {
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
func works(t tb, d driver.Driver, k createdKey, what string) {
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

// wantClass checks that err is a *driver.Error of one of the classes.
func wantClass(t tb, err error, what string, classes ...driver.Class) {
	t.Helper()
	var e *driver.Error
	switch {
	case err == nil:
		t.Errorf("%s: no error, want %v", what, classes)
	case !errors.As(err, &e):
		t.Errorf("%s: %T (%v) is not a *driver.Error", what, err, err)
	case !slices.Contains(classes, e.Class):
		t.Errorf("%s: %v, want %v", what, err, classes)
	}
}

// wantClassified checks that err, if not nil, is a *driver.Error with an Op and a Class.
func wantClassified(t tb, err error, what string) {
	t.Helper()
	if err == nil {
		return
	}
	var e *driver.Error
	if !errors.As(err, &e) {
		t.Errorf("%s: %T (%v) is not a *driver.Error", what, err, err)
		return
	}
	if e.Op == "" {
		t.Errorf("%s: the error has no Op", what)
	}
	if e.Class > driver.Unavailable {
		t.Errorf("%s: the class %v is not defined", what, e.Class)
	}
}

// wantBare checks that err is the context's own error, unwrapped.
func wantBare(t tb, err error, what string, want error) {
	t.Helper()
	if err != want {
		t.Errorf("%s: %v, want a bare %v", what, err, want)
	}
}

// positions returns at most most indexes below n, evenly spread, including both ends.
func positions(n, most int) []int {
	list := make([]int, 0, most)
	for i := range min(n, most) {
		if n <= most {
			list = append(list, i)
			continue
		}
		list = append(list, i*(n-1)/(most-1))
	}
	return list
}

// flipped returns a copy of b with one bit of byte i changed.
func flipped(b []byte, i int) []byte {
	c := slices.Clone(b)
	c[i] ^= 1 << (i % 8)
	return c
}
