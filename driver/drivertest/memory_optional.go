package drivertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"iter"
	"maps"
	"slices"

	"strongroom.example/driver"
)

// ImportKey stores material. An id that holds other material is Invalid.
func (m *Memory) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, in []byte) (driver.Created, error) {
	const op = "ImportKey"
	if err := enter(ctx, &m.gate, op); err != nil {
		return driver.Created{}, err
	}
	defer m.gate.Leave()
	if row, ok := m.Info().Find(spec); !ok || !row.Import {
		return driver.Created{}, failure(op, driver.Unsupported, errSpec)
	}
	made, err := parse(spec, in)
	if err != nil {
		return driver.Created{}, failure(op, driver.Invalid, err)
	}
	return m.shelf.place(op, id, spec, made)
}

// GenerateWrappingKey generates an RSA key of 2048 bits.
func (m *Memory) GenerateWrappingKey(ctx context.Context, id driver.MaterialID, alg driver.KeyAlgorithm) (driver.Created, error) {
	const op = "GenerateWrappingKey"
	if err := enter(ctx, &m.gate, op); err != nil {
		return driver.Created{}, err
	}
	defer m.gate.Leave()
	spec := driver.KeySpec{Algorithm: alg, Usage: driver.Unwrap}
	if _, ok := m.Info().Find(spec); !ok {
		return driver.Created{}, failure(op, driver.Unsupported, errSpec)
	}
	return m.shelf.create(op, id, spec, func() (keyMaterial, error) { return generate(alg) })
}

var errWrappingKey = errors.New("not an open wrapping key of this device")

// ImportWrapped unwraps material under RSA-OAEP. Material of a wrong form is Invalid;
// that discloses nothing, because only the sender of a valid ciphertext gets this error.
func (m *Memory) ImportWrapped(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, w driver.Wrapped) (driver.Created, error) {
	const op = "ImportWrapped"
	if err := ctx.Err(); err != nil {
		return driver.Created{}, err
	}
	if row, ok := m.Info().Find(spec); !ok || !slices.Contains(row.WrappedImport, w.Alg) {
		return driver.Created{}, failure(op, driver.Unsupported, errSpec)
	}
	with, ok := w.With.(memoryKey)
	if !ok || with.device.shelf != m.shelf {
		return driver.Created{}, failure(op, driver.Invalid, errWrappingKey)
	}
	if err := with.enter(ctx, op); err != nil {
		return driver.Created{}, err
	}
	defer with.leave()
	if err := enter(ctx, &m.gate, op); err != nil {
		return driver.Created{}, err
	}
	defer m.gate.Leave()
	hash := oaepHash(driver.EncryptAlg(w.Alg))
	in, err := rsa.DecryptOAEP(hash, nil, with.material.private.(*rsa.PrivateKey), w.Ciphertext, nil)
	if err != nil {
		return driver.Created{}, failure(op, driver.Authentic, errCiphertext)
	}
	made, err := parse(spec, in)
	if err != nil {
		return driver.Created{}, failure(op, driver.Invalid, err)
	}
	return m.shelf.place(op, id, spec, made)
}

// ListKeys yields the ids on the shelf, in order.
func (m *Memory) ListKeys(ctx context.Context) iter.Seq2[driver.MaterialID, error] {
	return func(yield func(driver.MaterialID, error) bool) {
		ids, err := m.ids(ctx)
		if err != nil {
			yield(driver.MaterialID{}, err)
			return
		}
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

func (m *Memory) ids(ctx context.Context) ([]driver.MaterialID, error) {
	if err := enter(ctx, &m.gate, "ListKeys"); err != nil {
		return nil, err
	}
	defer m.gate.Leave()
	m.shelf.mu.Lock()
	defer m.shelf.mu.Unlock()
	order := func(a, b driver.MaterialID) int { return bytes.Compare(a[:], b[:]) }
	return slices.SortedFunc(maps.Keys(m.shelf.objects), order), nil
}

// Random fills p from the operating system.
func (m *Memory) Random(ctx context.Context, p []byte) error {
	if err := enter(ctx, &m.gate, "Random"); err != nil {
		return err
	}
	defer m.gate.Leave()
	rand.Read(p)
	return nil
}

// Identity returns the identity of the device's counter.
func (m *Memory) Identity(ctx context.Context) (string, error) {
	if err := enter(ctx, &m.gate, "Identity"); err != nil {
		return "", err
	}
	defer m.gate.Leave()
	return m.shelf.serial, nil
}

// Read returns the counter.
func (m *Memory) Read(ctx context.Context) (uint64, error) { return m.count(ctx, "Read", 0) }

// Increment adds one to the counter.
func (m *Memory) Increment(ctx context.Context) (uint64, error) { return m.count(ctx, "Increment", 1) }

func (m *Memory) count(ctx context.Context, op string, by uint64) (uint64, error) {
	if err := enter(ctx, &m.gate, op); err != nil {
		return 0, err
	}
	defer m.gate.Leave()
	m.shelf.mu.Lock()
	defer m.shelf.mu.Unlock()
	m.shelf.counter += by
	return m.shelf.counter, nil
}
