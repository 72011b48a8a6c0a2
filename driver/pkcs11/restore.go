//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// restore repairs a token after a call failed in the epoch seen. One goroutine does so;
// the others wait for it. It returns nil if the call may be repeated.
func (t *token) restore(ctx context.Context, seen *epoch, how cure) error {
	if err := t.breaker.resting(); err != nil {
		return err
	}
	if err := t.lock.take(ctx); err != nil {
		return err
	}
	defer t.lock.give()
	if t.epoch.Load() != seen && !t.down.Load() {
		return nil
	}
	if err := t.breaker.resting(); err != nil {
		return err
	}
	err := t.repair(ctx, how)
	if ctx.Err() != nil {
		return err // the error does not show the token's state
	}
	t.breaker.record(err)
	t.down.Store(err != nil)
	return err
}

// repair first tries to log in again. A token that was down must show its sentinel,
// because a module may open sessions on a token that has lost its objects.
func (t *token) repair(ctx context.Context, how cure) error {
	suspicious, seen := t.down.Load() || how == renewal, t.mod.generation.Load()
	if how != renewal {
		err := t.mend(ctx)
		if err == nil && suspicious {
			err = t.probe(ctx)
		}
		if err == nil || errors.Is(err, driver.Denied) || ctx.Err() != nil {
			return err
		}
	}
	if err := t.mod.renewFor(ctx, t, seen); err != nil {
		return err
	}
	if err := t.login(ctx); err != nil {
		return err
	}
	return t.probe(ctx)
}

// mend does nothing if the login is still valid, because then only the caller's session
// or handle was lost. Otherwise it logs in again.
func (t *token) mend(ctx context.Context) error {
	if t.alive(ctx) {
		return nil
	}
	return t.login(ctx)
}

// alive reports whether the anchor session exists and is logged in.
func (t *token) alive(ctx context.Context) bool {
	if t.mod.drain.enter(ctx) != nil {
		return false
	}
	defer t.mod.drain.leave()
	e := t.epoch.Load()
	if e == nil || e.generation != t.mod.generation.Load() {
		return false
	}
	info, err := t.mod.ctx.GetSessionInfo(e.anchor)
	if err != nil {
		return false
	}
	return e.noLogin || info.State == p11.CKS_RW_USER_FUNCTIONS
}

var errSentinel = errors.New("the token does not show the driver's sentinel key: it is damaged, or was initialised anew")

// probe uses the sentinel in the anchor session.
func (t *token) probe(ctx context.Context) error {
	sentinel := t.sentinel.Load()
	if sentinel == nil {
		return nil
	}
	if err := t.mod.drain.enter(ctx); err != nil {
		return err
	}
	defer t.mod.drain.leave()
	e := t.epoch.Load()
	if e == nil {
		return fault("token", driver.Unavailable, errDown)
	}
	s := session{mod: t.mod, handle: e.anchor, epoch: e}
	err := sentinel.ping(s)
	if errors.Is(err, errAbsent) {
		err = t.replace(s, sentinel)
	}
	if err != nil {
		return fault("token", driver.Unavailable, errSentinel)
	}
	return nil
}

// replace makes a new sentinel if only the sentinel is gone: the token must show other
// keys made by this package. It fails if another goroutine writes to the token; the next
// repair tries again.
func (t *token) replace(s session, sentinel *object) error {
	known, err := s.list(false)
	if err == nil && len(known) == 0 {
		err = errAbsent
	}
	if err != nil {
		return err
	}
	select {
	case t.writer <- struct{}{}:
		defer t.writer.give()
	default:
		return errAbsent
	}
	_, err = s.makeOnce(sentinel.request(), session.generate)
	return err
}
