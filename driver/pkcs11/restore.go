//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// restore brings a token back after a call failed in the epoch seen. One goroutine
// does it; those that waited find it done. It returns nil if the call may be made
// again.
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
		return err // this says nothing of the token
	}
	t.breaker.record(err)
	t.down.Store(err != nil)
	return err
}

// repair tries the gentle way first. A token that was away must show its sentinel,
// since a module may open sessions on a token that has lost everything.
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

// mend does nothing if the login stands: then it was the caller's own session or
// handle that died. Otherwise it attaches anew.
func (t *token) mend(ctx context.Context) error {
	if t.alive(ctx) {
		return nil
	}
	return t.login(ctx)
}

// alive reports whether the anchor session is there and logged in.
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

// probe uses the sentinel on the anchor session.
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

// replace makes the sentinel anew where it alone is gone: the token shows other keys that
// were made by this package. While another goroutine writes, that waits for the next time.
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
