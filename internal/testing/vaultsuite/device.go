package vaultsuite

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

	mu        sync.Mutex
	last      driver.Created
	decoys    map[driver.KeySpec]*decoy
	destroyed map[driver.MaterialID]bool
	opens     int    // calls of OpenKey, without those for a key after its DestroyKey
	step      func() // called before and after each OpenKey and DestroyKey; see at
}

var _ driver.Driver = (*device)(nil)

func newDevice(d driver.Driver) *device {
	return &device{Faulty: drivertest.NewFaulty(d), destroyed: map[driver.MaterialID]bool{}}
}

// callsForOperations returns how many calls of operations the device received. It leaves out
// the calls that background tasks make at any time: those that destroy a key, verify that the
// key is destroyed, or request random bytes.
func (d *device) callsForOperations() int {
	d.mu.Lock()
	n := d.opens
	d.mu.Unlock()
	for _, m := range []drivertest.Method{
		drivertest.MethodPRF, drivertest.MethodSign, drivertest.MethodDecrypt, drivertest.MethodGenerateKey,
		drivertest.MethodImportKey, drivertest.MethodGenerateWrappingKey, drivertest.MethodImportWrapped,
	} {
		n += d.Calls(m)
	}
	return n
}

// at makes the device call f at the n-th step from now on. The steps are the moments before and
// after each OpenKey and DestroyKey. stop ends that, and returns how many steps there were.
func (d *device) at(n int, f func()) (stop func() int) {
	var steps atomic.Int64
	set := func(step func()) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.step = step
	}
	set(func() {
		if steps.Add(1) == int64(n) {
			f()
		}
	})
	return func() int {
		set(nil)
		return int(steps.Load())
	}
}

// stepped calls act with the steps before and after it.
func (d *device) stepped(act func()) {
	d.mu.Lock()
	step := d.step
	d.mu.Unlock()
	if step == nil {
		act()
		return
	}
	step()
	act()
	step()
}

// DestroyKey calls the driver between two steps.
func (d *device) DestroyKey(ctx context.Context, id driver.MaterialID, blob driver.Blob) (err error) {
	d.mu.Lock()
	d.destroyed[id] = true
	d.mu.Unlock()
	d.stepped(func() { err = d.Faulty.DestroyKey(ctx, id, blob) })
	return err
}

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
	d.mu.Lock()
	if !d.destroyed[id] {
		d.opens++
	}
	d.mu.Unlock()
	id, blob = d.placed(id, spec, blob)
	var key driver.Key
	var err error
	d.stepped(func() { key, err = d.Faulty.OpenKey(ctx, id, spec, blob) })
	if err != nil {
		return nil, err
	}
	d.open.Add(1)
	outer := watchedKey{Key: key, closed: sync.OnceFunc(func() { d.open.Add(-1) })}
	switch inner := key.(type) {
	case driver.PRF:
		return watchedPRF{outer, inner}, nil
	case driver.Signer:
		return watchedSigner{outer, inner}, nil
	case driver.Decrypter:
		return watchedDecrypter{outer, inner}, nil
	}
	return outer, nil
}

// ImportWrapped calls the driver with the wrapping key that watched wraps.
func (d *device) ImportWrapped(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, w driver.Wrapped) (driver.Created, error) {
	if key, ok := w.With.(watchedKey); ok {
		w.With = key.Key
	}
	return d.Faulty.ImportWrapped(ctx, id, spec, w)
}

// watchedKey is a key that calls a function when it is closed.
type watchedKey struct {
	driver.Key
	closed func()
}

func (k watchedKey) Close() error {
	defer k.closed()
	return k.Key.Close()
}

// Lookups returns the count of the inner key, or 0 if the inner key is not Tracked.
func (k watchedKey) Lookups() uint64 {
	if inner, ok := k.Key.(driver.Tracked); ok {
		return inner.Lookups()
	}
	return 0
}

type watchedPRF struct {
	watchedKey
	inner driver.PRF
}

func (k watchedPRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	return k.inner.PRF(ctx, dst, input)
}

type watchedSigner struct {
	watchedKey
	inner driver.Signer
}

func (k watchedSigner) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	return k.inner.Sign(ctx, alg, input)
}

type watchedDecrypter struct {
	watchedKey
	inner driver.Decrypter
}

func (k watchedDecrypter) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	return k.inner.Decrypt(ctx, dst, alg, ciphertext)
}
