package drivertest

import (
	"context"
	"errors"
	"iter"

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

var errLacking = errors.New("the inner driver lacks this interface")

// innards returns the inner key of a wrapped key, because a driver accepts only its own
// keys.
func innards(key driver.Key) driver.Key {
	if k, ok := key.(faultyKey); ok {
		return k.Key
	}
	return key
}

// ImportKey calls the inner driver's ImportKey.
func (f *Faulty) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, material []byte) (driver.Created, error) {
	return f.create(ctx, MethodImportKey, func() (driver.Created, error) {
		if inner, ok := f.inner.(driver.Importer); ok {
			return inner.ImportKey(ctx, id, spec, material)
		}
		return driver.Created{}, failure("ImportKey", driver.Unsupported, errLacking)
	})
}

// GenerateWrappingKey calls the inner driver's GenerateWrappingKey.
func (f *Faulty) GenerateWrappingKey(ctx context.Context, id driver.MaterialID, alg driver.KeyAlgorithm) (driver.Created, error) {
	return f.create(ctx, MethodGenerateWrappingKey, func() (driver.Created, error) {
		if inner, ok := f.inner.(driver.WrappedImporter); ok {
			return inner.GenerateWrappingKey(ctx, id, alg)
		}
		return driver.Created{}, failure("GenerateWrappingKey", driver.Unsupported, errLacking)
	})
}

// ImportWrapped calls the inner driver's ImportWrapped, with the inner wrapping key.
func (f *Faulty) ImportWrapped(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, w driver.Wrapped) (driver.Created, error) {
	return f.create(ctx, MethodImportWrapped, func() (driver.Created, error) {
		inner, ok := f.inner.(driver.WrappedImporter)
		if !ok {
			return driver.Created{}, failure("ImportWrapped", driver.Unsupported, errLacking)
		}
		w.With = innards(w.With)
		return inner.ImportWrapped(ctx, id, spec, w)
	})
}

// ListKeys calls the inner driver's ListKeys. A fault takes effect before the first id
// or, with After, after the last.
func (f *Faulty) ListKeys(ctx context.Context) iter.Seq2[driver.MaterialID, error] {
	return func(yield func(driver.MaterialID, error) bool) {
		stopped := false
		err := f.do(ctx, MethodListKeys, func() error {
			inner, ok := f.inner.(driver.Lister)
			if !ok {
				return failure("ListKeys", driver.Unsupported, errLacking)
			}
			for id, err := range inner.ListKeys(ctx) {
				if err != nil {
					return err
				}
				if stopped = !yield(id, nil); stopped {
					return nil
				}
			}
			return nil
		})
		if err != nil && !stopped {
			yield(driver.MaterialID{}, err)
		}
	}
}

// Random calls the inner driver's Random.
func (f *Faulty) Random(ctx context.Context, p []byte) error {
	return f.do(ctx, MethodRandom, func() error {
		if inner, ok := f.inner.(driver.Random); ok {
			return inner.Random(ctx, p)
		}
		return failure("Random", driver.Unsupported, errLacking)
	})
}

// Identity calls the inner counter's Identity.
func (f *Faulty) Identity(ctx context.Context) (string, error) {
	return count(ctx, f, MethodIdentity, driver.Counter.Identity)
}

// Read calls the inner counter's Read.
func (f *Faulty) Read(ctx context.Context) (uint64, error) {
	return count(ctx, f, MethodRead, driver.Counter.Read)
}

// Increment calls the inner counter's Increment.
func (f *Faulty) Increment(ctx context.Context) (uint64, error) {
	return count(ctx, f, MethodIncrement, driver.Counter.Increment)
}

// count calls a method of the inner driver's counter.
func count[T any](ctx context.Context, f *Faulty, m Method, act func(driver.Counter, context.Context) (T, error)) (T, error) {
	var value, none T
	err := f.do(ctx, m, func() (err error) {
		inner, ok := f.inner.(driver.Counter)
		if !ok {
			return failure(string(m), driver.Unsupported, errLacking)
		}
		value, err = act(inner, ctx)
		return err
	})
	if err != nil {
		return none, err
	}
	return value, nil
}
