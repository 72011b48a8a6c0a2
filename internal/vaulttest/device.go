package vaulttest

import (
	"context"
	"sync"
	"sync/atomic"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
)

// device is a driver that fails on demand and counts its open keys.
type device struct {
	*drivertest.Faulty
	open atomic.Int64

	mu     sync.Mutex
	last   driver.Created
	decoys map[driver.KeySpec]*decoy
}

var _ driver.Driver = (*device)(nil)

func newDevice(d driver.Driver) *device { return &device{Faulty: drivertest.NewFaulty(d)} }

// lastCreated returns the result of the last GenerateKey.
func (d *device) lastCreated() driver.Created {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

// GenerateKey calls the driver and stores the result for lastCreated.
func (d *device) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	made, err := d.Faulty.GenerateKey(ctx, id, spec)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = made
	return made, err
}

// OpenKey opens the key and counts it until it is closed.
func (d *device) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	id, blob = d.placed(id, spec, blob)
	key, err := d.Faulty.OpenKey(ctx, id, spec, blob)
	if err != nil {
		return nil, err
	}
	d.open.Add(1)
	outer := watched{Key: key, closed: sync.OnceFunc(func() { d.open.Add(-1) })}
	switch inner := key.(type) {
	case driver.PRF:
		return watchedPRF{outer, inner}, nil
	case driver.AEAD:
		return watchedAEAD{outer, inner}, nil
	case driver.Signer:
		return watchedSigner{outer, inner}, nil
	case driver.Decrypter:
		return watchedDecrypter{outer, inner}, nil
	}
	return outer, nil
}

// ImportWrapped calls the driver with the wrapping key that watched wraps.
func (d *device) ImportWrapped(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, w driver.Wrapped) (driver.Created, error) {
	if key, ok := w.With.(watched); ok {
		w.With = key.Key
	}
	return d.Faulty.ImportWrapped(ctx, id, spec, w)
}

// watched is a key that calls a function when it is closed.
type watched struct {
	driver.Key
	closed func()
}

func (k watched) Close() error {
	defer k.closed()
	return k.Key.Close()
}

// Lookups returns the count of the inner key, or 0 if the inner key is not Tracked.
func (k watched) Lookups() uint64 {
	if inner, ok := k.Key.(driver.Tracked); ok {
		return inner.Lookups()
	}
	return 0
}

type watchedPRF struct {
	watched
	inner driver.PRF
}

func (k watchedPRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	return k.inner.PRF(ctx, dst, input)
}

type watchedAEAD struct {
	watched
	inner driver.AEAD
}

func (k watchedAEAD) Seal(ctx context.Context, dst, plaintext, aad []byte) ([]byte, error) {
	return k.inner.Seal(ctx, dst, plaintext, aad)
}

func (k watchedAEAD) Open(ctx context.Context, dst, ciphertext, aad []byte) ([]byte, error) {
	return k.inner.Open(ctx, dst, ciphertext, aad)
}

type watchedSigner struct {
	watched
	inner driver.Signer
}

func (k watchedSigner) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	return k.inner.Sign(ctx, alg, input)
}

type watchedDecrypter struct {
	watched
	inner driver.Decrypter
}

func (k watchedDecrypter) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	return k.inner.Decrypt(ctx, dst, alg, ciphertext)
}
