package soft

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"slices"
	"sync"

	"strongroom.example/driver"
	"strongroom.example/internal/gate"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// A handle is the part that every open key has in common: its gate, and the function that
// releases its material.
type handle struct {
	redacted
	driver *Driver
	gate   gate.Gate
	once   sync.Once
	drop   func()
}

// enter checks the context, then admits a call into the driver and the key.
func (h *handle) enter(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !h.driver.gate.Enter() {
		return fault(op, driver.Unavailable, errClosed)
	}
	if !h.gate.Enter() {
		h.driver.gate.Leave()
		return fault(op, driver.Unavailable, errClosed)
	}
	return nil
}

func (h *handle) leave() {
	h.gate.Leave()
	h.driver.gate.Leave()
}

// Close waits for running calls and releases the material.
func (h *handle) Close() error {
	h.gate.Shut()
	h.driver.forget(h)
	return nil
}

// release drops the material. No call runs on the key at this point.
func (h *handle) release() { h.once.Do(h.drop) }

// keep records an open key, so that Close of the driver can release it. drop is called
// once.
func (d *Driver) keep(h *handle, drop func()) {
	h.driver, h.drop = d, drop
	d.mu.Lock()
	d.open[h] = struct{}{}
	d.mu.Unlock()
}

// forget removes and releases a key. It does both under the lock, so that Close of the
// driver finds the key either in the table or released.
func (d *Driver) forget(h *handle) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, h)
	h.release()
}

// OpenKey opens a blob. Symmetric material stays in locked memory. An asymmetric key is
// parsed once into Go's own struct, which lives on the heap until the key is closed.
//
// Errors:
//   - Authentic: the blob was changed, or belongs to another id, spec or wrapping key.
//   - Throttled: the limit of locked memory is reached. The error wraps the cause.
//   - Unsupported: Info does not list spec.
func (d *Driver) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	const op = "OpenKey"
	if err := d.enter(ctx, op, spec); err != nil {
		return nil, err
	}
	defer d.gate.Leave()
	buf, err := d.unseal(op, name{id, spec}, blob)
	if err != nil {
		return nil, err
	}
	if spec.Algorithm.Symmetric() {
		k := &prfKey{alg: spec.Algorithm, material: buf}
		d.keep(&k.handle, buf.Free)
		return k, nil
	}
	defer buf.Free()
	key, err := d.openPair(spec, buf.Bytes())
	if err != nil {
		return nil, fault(op, driver.Authentic, errBlob)
	}
	return key, nil
}

func (d *Driver) openPair(spec driver.KeySpec, material []byte) (driver.Key, error) {
	p, err := parsePair(spec.Algorithm, material)
	if err != nil {
		return nil, err
	}
	row, _ := d.info.Find(spec)
	if spec.Usage == driver.Sign {
		k := &signKey{pair: p, algs: row.Sign}
		d.keep(&k.handle, func() { k.pair = pair{} })
		return k, nil
	}
	k := &decryptKey{pair: p, algs: row.Decrypt}
	if key, ok := p.private.(*rsa.PrivateKey); ok {
		if k.raw, err = newRawRSA(key); err != nil {
			return nil, err
		}
	}
	d.keep(&k.handle, func() { k.pair, k.raw = pair{}, nil })
	return k, nil
}

var errLength = errors.New("input of a wrong length")

// A prfKey is an open key for HMAC.
type prfKey struct {
	handle
	alg      driver.KeyAlgorithm
	material *lockedmem.Buffer
}

var _ driver.PRF = (*prfKey)(nil)

// PRF appends the HMAC of input.
func (k *prfKey) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	const op = "PRF"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if len(input) > driver.MaxInput {
		return nil, fault(op, driver.Invalid, errLength)
	}
	size := k.alg.MACSize()
	dst = slices.Grow(dst, size)
	n := len(dst)
	dst = dst[:n+size]
	k.mac(dst[n:], input)
	return dst, nil
}

// mac writes the HMAC of input to dst, which has its length.
func (k *prfKey) mac(dst, input []byte) {
	switch k.alg {
	case driver.HMACSHA224:
		suite.SHA2MAC(crypto.SHA224, dst, k.material.Bytes(), input)
	case driver.HMACSHA384:
		suite.SHA2MAC(crypto.SHA384, dst, k.material.Bytes(), input)
	case driver.HMACSHA512:
		suite.SHA2MAC(crypto.SHA512, dst, k.material.Bytes(), input)
	case driver.HMACSM3:
		suite.SM.MACTo(dst, k.material.Bytes(), input)
	default:
		suite.AES.MACTo(dst, k.material.Bytes(), input)
	}
}
