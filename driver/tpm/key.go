package tpm

import (
	"context"
	"sync"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/internal/gate"
)

// A key is an open key. The type for each usage embeds it.
type key struct {
	redacted
	driver *Driver
	kind   kind
	res    *resident
	gate   *gate.Gate
	once   *sync.Once
}

// key returns the Key type for the usage of a kind.
func (d *Driver) key(k kind, r *resident, area *tpm2.TPMTPublic) driver.Key {
	base := key{driver: d, kind: k, res: r, gate: new(gate.Gate), once: new(sync.Once)}
	switch {
	case k.row.Spec.Usage == driver.Derive:
		return &hmacKey{key: base}
	case k.row.Spec.Usage == driver.Sign:
		return &signKey{key: base, area: area}
	case k.curve != 0:
		return &sm2Key{key: base}
	}
	return &rsaKey{key: base, area: area}
}

// Close releases the handle. The key stays loaded in the TPM until its slot is needed.
func (k *key) Close() error {
	k.gate.Shut()
	k.once.Do(func() {
		// If the driver was closed, it has already released the key.
		if k.driver.gate.Enter() {
			defer k.driver.gate.Leave()
			k.driver.device.slots.release(k.res)
		}
	})
	return nil
}

// enter checks the context, then admits a call into the driver and the key.
func (k *key) enter(ctx context.Context, op string) error {
	if err := k.driver.enter(ctx, op); err != nil {
		return err
	}
	if !k.gate.Enter() {
		k.driver.gate.Leave()
		return fault(op, driver.Unavailable, errClosed)
	}
	return nil
}

func (k *key) leave() {
	k.gate.Leave()
	k.driver.gate.Leave()
}

// run runs act in the TPM while the key is loaded.
func (k *key) run(ctx context.Context, op string, act func(*device, entity) error) error {
	return k.driver.queue.do(op, &job{
		ctx:  ctx,
		lane: ordinary,
		cost: k.cost(op),
		key:  k.res,
		act: func(d *device) error {
			e, err := d.use(k.res)
			if err != nil {
				return err
			}
			return act(d, e)
		},
	})
}

// cost returns the name under which the queue learns the duration of an operation with
// the key.
func (k *key) cost(op string) string { return op + string(k.kind.row.Spec.Algorithm) }
