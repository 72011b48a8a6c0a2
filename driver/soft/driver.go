package soft

import (
	"context"
	"errors"
	"sync"

	"strongroom.example/driver"
	"strongroom.example/internal/gate"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// A Driver is the software engine: a [driver.Driver] and a [driver.Importer]. Its keys
// exist only in their blobs, so that DestroyKey has no lasting effect.
type Driver struct {
	redacted
	info  driver.Info
	suite suite.ID
	gate  gate.Gate
	arena *lockedmem.Arena
	key   *lockedmem.Buffer

	mu   sync.Mutex
	open map[*handle]struct{}
}

var (
	_ driver.Driver   = (*Driver)(nil)
	_ driver.Importer = (*Driver)(nil)
)

// Info returns the capability table. No spec is Resident.
func (d *Driver) Info() driver.Info { return d.info }

// enter checks the context first, then admits a call on spec.
func (d *Driver) enter(ctx context.Context, op string, spec driver.KeySpec) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !d.gate.Enter() {
		return fault(op, driver.Unavailable, errClosed)
	}
	if _, ok := d.info.Find(spec); !ok {
		d.gate.Leave()
		return fault(op, driver.Unsupported, errSpec)
	}
	return nil
}

// GenerateKey generates material from the operating system's random source and returns it
// as a blob. A second call returns another key. An RSA key of 4096 bits takes seconds.
func (d *Driver) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	const op = "GenerateKey"
	if err := d.enter(ctx, op, spec); err != nil {
		return driver.Created{}, err
	}
	defer d.gate.Leave()
	m, err := generate(spec.Algorithm)
	if err != nil {
		return driver.Created{}, fault(op, driver.Unknown, err)
	}
	return d.created(op, name{id, spec}, m)
}

// ImportKey seals material into a blob: 32 bytes for HMAC-SHA-256, 32 or 16 for HMAC-SM3,
// PKCS #8 DER for asymmetric keys, as package pkcs8 accepts it. Other material is
// Invalid, with a cause that names the fault. The caller wipes material.
func (d *Driver) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, material []byte) (driver.Created, error) {
	const op = "ImportKey"
	if err := d.enter(ctx, op, spec); err != nil {
		return driver.Created{}, err
	}
	defer d.gate.Leave()
	m, err := adopt(spec, material)
	if err != nil {
		return driver.Created{}, fault(op, driver.Invalid, err)
	}
	return d.created(op, name{id, spec}, m)
}

// created seals m into a blob and wipes it.
func (d *Driver) created(op string, n name, m material) (driver.Created, error) {
	defer suite.Wipe(m.private)
	blob, err := d.seal(n, m.private)
	if err != nil {
		return driver.Created{}, fault(op, driver.Unknown, err)
	}
	return driver.Created{Blob: blob, PublicDER: m.public}, nil
}

// DestroyKey has no lasting effect: a key becomes unusable when the key that wraps its
// blob is destroyed.
func (d *Driver) DestroyKey(ctx context.Context, _ driver.MaterialID, _ driver.Blob) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !d.gate.Enter() {
		return fault("DestroyKey", driver.Unavailable, errClosed)
	}
	d.gate.Leave()
	return nil
}

// Close waits for running calls, closes every key, and wipes and unlocks the
// memory.
func (d *Driver) Close() error {
	if !d.gate.Shut() {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for h := range d.open {
		h.release()
	}
	d.open = nil
	d.key.Free()
	if err := d.arena.Close(); err != nil {
		return fault("Close", driver.Unknown, errors.Join(errors.New("locked memory"), err))
	}
	return nil
}
