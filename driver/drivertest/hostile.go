package drivertest

import (
	"context"
	"fmt"
	"slices"

	"strongroom.example/driver"
)

// errorsAreClassified checks the errors of ordinary mistakes. Each must be a
// *driver.Error with an operation and a class.
func errorsAreClassified(t tb, s *subject) {
	ctx := context.Background()
	mistake := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: no error", what)
		}
		wantClassified(t, err, what)
	}
	_, err := s.GenerateKey(ctx, freshID(), driver.KeySpec{Algorithm: "ROT_13", Usage: driver.Derive})
	mistake("GenerateKey of an unknown spec", err)
	for _, row := range s.samples() {
		k := s.key(t, row)
		_, err := s.OpenKey(ctx, freshID(), row.Spec, k.created.Blob)
		mistake(row.Spec.String()+": a key under another id", err)
		opened := openKey[driver.Key](t, s.Driver, k)
		mistake(row.Spec.String()+": a wrong call", wrongCall(ctx, opened))
		closeKey(t, opened)
	}
	for _, row := range s.importable() {
		_, err := s.Driver.(driver.Importer).ImportKey(ctx, freshID(), row.Spec, []byte{1})
		mistake(row.Spec.String()+": importing one byte", err)
	}
}

// wrongCall makes a call that is wrong for every key of its kind.
func wrongCall(ctx context.Context, opened driver.Key) error {
	var err error
	switch k := opened.(type) {
	case driver.PRF:
		_, err = k.PRF(ctx, nil, make([]byte, 4097))
	case driver.Signer:
		_, err = k.Sign(ctx, "ROT_13", make([]byte, 32))
	case driver.Decrypter:
		_, err = k.Decrypt(ctx, nil, "ROT_13", make([]byte, 256))
	}
	return err
}

// hostileInput passes empty and far too long input to every method. A method may succeed
// or fail with a class; it must not panic, and the keys must stay usable.
func hostileInput(t tb, s *subject) {
	for _, input := range [][]byte{nil, {}, make([]byte, 1<<20)} {
		for _, row := range s.samples() {
			k := s.key(t, row)
			opened := openKey[driver.Key](t, s.Driver, k)
			survives(t, fmt.Sprintf("%v: %d bytes", row.Spec, len(input)), func() error { return hostileCall(k, opened, input) })
			closeKey(t, opened)
			survives(t, fmt.Sprintf("OpenKey with a blob of %d bytes", len(input)), func() error { return hostileOpen(s, k, input) })
			survives(t, fmt.Sprintf("DestroyKey with a blob of %d bytes", len(input)), func() error {
				return s.DestroyKey(context.Background(), freshID(), input)
			})
			works(t, s.Driver, k, "after hostile input")
		}
		hostileImport(t, s, input)
	}
}

// survives runs one call. It reports a panic as a failure of the test.
func survives(t tb, what string, call func() error) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("%s: panic: %v", what, r)
		}
	}()
	wantClassified(t, call(), what)
}

func hostileOpen(s *subject, k createdKey, input []byte) error {
	opened, err := s.OpenKey(context.Background(), k.id, k.row.Spec, input)
	if err != nil {
		return err
	}
	return opened.Close()
}

// hostileCall passes input to every method of a key. It returns the last error that is
// not classified, or nil.
func hostileCall(k createdKey, opened driver.Key, input []byte) error {
	ctx := context.Background()
	var errs []error
	add := func(_ []byte, err error) { errs = append(errs, err) }
	switch opened := opened.(type) {
	case driver.PRF:
		add(opened.PRF(ctx, nil, input))
	case driver.Signer:
		for _, alg := range append(slices.Clone(k.row.Sign), "") {
			add(opened.Sign(ctx, alg, input))
		}
	case driver.Decrypter:
		for _, alg := range append(slices.Clone(k.row.Decrypt), "") {
			add(opened.Decrypt(ctx, nil, alg, input))
		}
	}
	return firstUnclassified(errs)
}

// firstUnclassified returns the first error that is not a *driver.Error, or nil.
func firstUnclassified(errs []error) error {
	for _, err := range errs {
		if _, ok := err.(*driver.Error); err != nil && !ok {
			return err
		}
	}
	return nil
}

func hostileImport(t tb, s *subject, input []byte) {
	ctx := context.Background()
	for _, row := range s.importable() {
		survives(t, fmt.Sprintf("%v: importing %d bytes", row.Spec, len(input)), func() error {
			_, err := s.Driver.(driver.Importer).ImportKey(ctx, freshID(), row.Spec, input)
			return err
		})
	}
	importer, ok := s.Driver.(driver.WrappedImporter)
	if !ok || len(s.rows(driver.Unwrap)) == 0 {
		return
	}
	for _, with := range []driver.Key{nil, strangeKey{}} {
		for _, row := range s.generated() {
			for _, alg := range append(slices.Clone(row.WrappedImport), "") {
				survives(t, fmt.Sprintf("%v: unwrapping %d bytes with a key of type %T", row.Spec, len(input), with), func() error {
					_, err := importer.ImportWrapped(ctx, freshID(), row.Spec, driver.Wrapped{With: with, Alg: alg, Ciphertext: input})
					return err
				})
			}
		}
	}
}

// A strangeKey is a key that belongs to no driver.
type strangeKey struct{}

func (strangeKey) Close() error { return nil }
