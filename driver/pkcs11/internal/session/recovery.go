//go:build cgo && unix

package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/driver/pkcs11/internal/object"
)

// restore repairs a token after a call failed in the epoch seen. One goroutine does so;
// the others wait for it. It returns nil if the call may be repeated.
func (t *token) restore(ctx context.Context, seen *object.LoginEpoch, how cryptoki.Recovery) error {
	if err := t.breaker.waiting(); err != nil {
		return err
	}
	if err := t.lock.take(ctx); err != nil {
		return err
	}
	defer t.lock.give()
	if t.epoch.Load() != seen && !t.down.Load() {
		return nil
	}
	if err := t.breaker.waiting(); err != nil {
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
func (t *token) repair(ctx context.Context, how cryptoki.Recovery) error {
	suspicious, seen := t.down.Load() || how == cryptoki.Reinitialise, t.mod.generation.Load()
	if how != cryptoki.Reinitialise {
		err := t.relogin(ctx)
		if err == nil && suspicious {
			err = t.checkSentinel(ctx)
		}
		if err == nil || errors.Is(err, driver.Denied) || ctx.Err() != nil {
			return err
		}
	}
	if err := t.mod.reinitialiseFor(ctx, t, seen); err != nil {
		return err
	}
	if err := t.login(ctx); err != nil {
		return err
	}
	return t.checkSentinel(ctx)
}

// relogin does nothing if the login is still valid, because then only the caller's session
// or handle was lost. Otherwise it logs in again.
func (t *token) relogin(ctx context.Context) error {
	if t.loggedIn(ctx) {
		return nil
	}
	return t.login(ctx)
}

// loggedIn reports whether the anchor session exists and is logged in.
func (t *token) loggedIn(ctx context.Context) bool {
	if t.mod.calls.enter(ctx) != nil {
		return false
	}
	defer t.mod.calls.leave()
	e := t.epoch.Load()
	if e == nil || e.Generation != t.mod.generation.Load() {
		return false
	}
	info, err := t.mod.Ctx.GetSessionInfo(e.Anchor)
	if err != nil {
		return false
	}
	return e.NoLogin || info.State == p11.CKS_RW_USER_FUNCTIONS
}

var errSentinel = errors.New("the token does not show the driver's sentinel key: it is damaged, or was initialised anew")

// checkSentinel uses the sentinel in the anchor session.
func (t *token) checkSentinel(ctx context.Context) error {
	sentinel := t.sentinel.Load()
	if sentinel == nil {
		return nil
	}
	if err := t.mod.calls.enter(ctx); err != nil {
		return err
	}
	defer t.mod.calls.leave()
	e := t.epoch.Load()
	if e == nil {
		return cryptoki.Fault("token", driver.Unavailable, cryptoki.ErrDown)
	}
	s := object.Session{Lib: t.mod.Library, Handle: e.Anchor, Epoch: e}
	err := sentinel.Check(s)
	if errors.Is(err, cryptoki.ErrAbsent) {
		err = t.replace(s, sentinel)
	}
	if err != nil {
		return cryptoki.Fault("token", driver.Unavailable, errSentinel)
	}
	return nil
}

// replace makes a new sentinel if only the sentinel is gone: the token must show other
// keys made by this package. It fails if another goroutine writes to the token; the next
// repair tries again.
func (t *token) replace(s object.Session, sentinel *object.Object) error {
	known, err := s.List(false)
	if err == nil && len(known) == 0 {
		err = cryptoki.ErrAbsent
	}
	if err != nil {
		return err
	}
	select {
	case t.writer <- struct{}{}:
		defer t.writer.give()
	default:
		return cryptoki.ErrAbsent
	}
	_, err = s.EnsureKey(sentinel.Request(), object.Session.Generate)
	return err
}

const (
	firstDelay = 50 * time.Millisecond
	maxDelay   = time.Second
)

// A breaker limits the attempts to repair a token: after each failure it waits, twice as
// long each time up to a second, minus a random part. One goroutine makes the attempts;
// during the wait all others get the last failure at once.
type breaker struct {
	mu       sync.Mutex
	failures int
	until    time.Time
	last     error
}

// waiting returns the last failure during the wait, otherwise nil.
func (b *breaker) waiting() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures > 0 && time.Now().Before(b.until) {
		return b.last
	}
	return nil
}

// record records the result of an attempt.
func (b *breaker) record(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = err
	if err == nil {
		b.failures = 0
		return
	}
	rest := min(maxDelay, firstDelay<<min(b.failures, 8))
	b.failures++
	b.until = time.Now().Add(rest - rand.N(rest/2))
}
