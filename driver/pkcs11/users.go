//go:build cgo && unix

package pkcs11

import (
	"cmp"
	"context"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// join adds a user. The token must accept its PIN, by a login or by comparison with the
// PIN that is logged in. The first user determines whether the token checks a PIN.
func (t *token) join(ctx context.Context, pin *credential, noLogin bool) error {
	if err := t.lock.take(ctx); err != nil {
		return err
	}
	defer t.lock.give()
	value, err := pin.read(ctx)
	if err != nil {
		return fault("PIN", driver.Denied, err)
	}
	defer suite.Wipe(value)
	if len(t.users) == 0 {
		t.noLogin = noLogin
	}
	if err := t.admit(ctx, value); err != nil {
		return err
	}
	t.users = append(t.users, pin)
	return nil
}

func (t *token) admit(ctx context.Context, pin []byte) error {
	if len(t.users) == 0 || t.latch.good == nil || !t.alive(ctx) {
		return t.attach(ctx, pin)
	}
	return t.latch.compare(pin)
}

// login attaches with the PIN of a user: the last one to join, or an earlier one if that
// PIN cannot be read.
func (t *token) login(ctx context.Context) error {
	var first error
	for _, user := range slices.Backward(t.users) {
		pin, err := user.read(ctx)
		if err != nil {
			first = cmp.Or(first, err)
			continue
		}
		defer suite.Wipe(pin)
		return t.attach(ctx, pin)
	}
	return fault("PIN", driver.Denied, first)
}

// part removes a user and wipes its PIN. After the last user it ends the login.
func (t *token) part(pin *credential) error {
	t.lock <- struct{}{}
	defer t.lock.give()
	t.users = slices.DeleteFunc(t.users, func(user *credential) bool { return user == pin })
	if len(t.users) == 0 {
		t.hangUp()
		t.down.Store(false)
		t.sentinel.Store(nil)
		t.latch.good = nil
	}
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
		t.mod.ctx.CloseSession(e.anchor) // an error means that it is already closed
	}
}
