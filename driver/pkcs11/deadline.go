//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/gate"
	"strongroom.example/internal/suite"
)

// A call into a module cannot be broken off. Where the context has a deadline, the call
// runs in a goroutine of its own, on copies of what the caller passed: at the deadline the
// caller gets the context's error, and the result is wiped or closed when it comes. That
// costs a microsecond or two, so a context without a deadline is not treated so: its
// cancellation ends the wait for a session or a lock, and not a call that hangs.

// hasDeadline reports whether calls with the context run by bounded.
func hasDeadline(ctx context.Context) bool {
	_, ok := ctx.Deadline()
	return ok
}

// bounded runs f and returns what it returns, or the context's error if that is done
// first. discard then gets the result of an f that succeeds.
func bounded[T any](ctx context.Context, f func() (T, error), discard func(T)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	var decided atomic.Bool // by whichever of the two comes first
	go func() {
		value, err := f()
		switch {
		case decided.CompareAndSwap(false, true):
			done <- outcome{value, err}
		case err == nil:
			discard(value)
		}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
	}
	if decided.CompareAndSwap(false, true) {
		var none T
		return none, ctx.Err()
	}
	o := <-done
	return o.value, o.err
}

// keep is for results that nothing is to be done about.
func keep[T any](T) {}

// boundedAppend is bounded for a call whose result is appended to dst.
func boundedAppend(ctx context.Context, dst []byte, f func() ([]byte, error)) ([]byte, error) {
	out, err := bounded(ctx, f, suite.Wipe)
	if err != nil {
		return nil, err
	}
	defer suite.Wipe(out)
	return append(dst, out...), nil
}

// closeLimit is how long Close waits for calls that are in the module.
const closeLimit = 30 * time.Second

var errHangs = errors.New("calls into the module do not return: the rest is done when they do")

// waitFor waits until the calls that a gate let in have left, or for the limit.
func waitFor(g *gate.Gate, limit time.Duration, then func() error) error {
	done := make(chan error, 1)
	go func() {
		g.Wait()
		done <- then()
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fault("Close", driver.Unavailable, errHangs)
	}
}
