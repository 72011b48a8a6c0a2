//go:build cgo && unix

package pkcs11

import (
	"context"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// join adds a user, whose PIN the token must take: by a login, or by comparison with
// the PIN that is logged in.
func (t *token) join(ctx context.Context, pin *credential) error {
	if err := t.lock.take(ctx); err != nil {
		return err
	}
	defer t.lock.give()
	before := t.pin
	t.pin = pin
	if err := t.admit(ctx); err != nil {
		t.pin = before
		return err
	}
	t.users++
	if before == nil {
		return nil
	}
	return before.close()
}

func (t *token) admit(ctx context.Context) error {
	if t.users == 0 || t.latch.good == nil || !t.alive(ctx) {
		return t.attach(ctx)
	}
	pin, err := t.pin.read(ctx)
	if err != nil {
		return fault("PIN", driver.Denied, err)
	}
	defer suite.Wipe(pin)
	return t.latch.compare(pin)
}

// part takes a user away. After the last nobody is logged in.
func (t *token) part() error {
	t.lock <- struct{}{}
	defer t.lock.give()
	t.users--
	if t.users > 0 {
		return nil
	}
	t.hangUp()
	t.down.Store(false)
	t.sentinel.Store(nil)
	t.latch.good = nil
	pin := t.pin
	t.pin = nil
	return pin.close()
}

// hangUp closes the anchor session.
func (t *token) hangUp() {
	e := t.epoch.Swap(nil)
	if e == nil || t.mod.drain.enter(context.Background()) != nil {
		return
	}
	defer t.mod.drain.leave()
	if e.generation == t.mod.generation.Load() {
		t.mod.ctx.CloseSession(e.anchor) // an error says that it is closed already
	}
}
