package drivertest

import (
	"context"
	"errors"
	"iter"

	"strongroom.example/driver"
)

var errLacking = errors.New("the inner driver lacks this interface")

// innards returns the inner key of a wrapped one, so that a driver sees its own.
func innards(key driver.Key) driver.Key {
	if k, ok := key.(faultyKey); ok {
		return k.Key
	}
	return key
}

// ImportKey passes through.
func (f *Faulty) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, material []byte) (driver.Created, error) {
	return f.create(ctx, MethodImportKey, func() (driver.Created, error) {
		if inner, ok := f.inner.(driver.Importer); ok {
			return inner.ImportKey(ctx, id, spec, material)
		}
		return driver.Created{}, failure("ImportKey", driver.Unsupported, errLacking)
	})
}

// GenerateWrappingKey passes through.
func (f *Faulty) GenerateWrappingKey(ctx context.Context, id driver.MaterialID, alg driver.KeyAlgorithm) (driver.Created, error) {
	return f.create(ctx, MethodGenerateWrappingKey, func() (driver.Created, error) {
		if inner, ok := f.inner.(driver.WrappedImporter); ok {
			return inner.GenerateWrappingKey(ctx, id, alg)
		}
		return driver.Created{}, failure("GenerateWrappingKey", driver.Unsupported, errLacking)
	})
}

// ImportWrapped passes through, with the inner wrapping key.
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

// ListKeys passes through. A fault comes before the first id, or with After in the
// place of what follows the last.
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

// Random passes through.
func (f *Faulty) Random(ctx context.Context, p []byte) error {
	return f.do(ctx, MethodRandom, func() error {
		if inner, ok := f.inner.(driver.Random); ok {
			return inner.Random(ctx, p)
		}
		return failure("Random", driver.Unsupported, errLacking)
	})
}

// Identity passes through.
func (f *Faulty) Identity(ctx context.Context) (string, error) {
	return count(ctx, f, MethodIdentity, driver.Counter.Identity)
}

// Read passes through.
func (f *Faulty) Read(ctx context.Context) (uint64, error) {
	return count(ctx, f, MethodRead, driver.Counter.Read)
}

// Increment passes through.
func (f *Faulty) Increment(ctx context.Context) (uint64, error) {
	return count(ctx, f, MethodIncrement, driver.Counter.Increment)
}

// count runs a method of the inner driver's counter.
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
