package soft

import (
	"context"
	"sync"

	"strongroom.example/driver"
	"strongroom.example/internal/gate"
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
