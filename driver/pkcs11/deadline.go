//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/internal/gate"
	"strongroom.example/internal/suite"
)

// A call into a module cannot be interrupted. If the context has a deadline, the call
// runs in a goroutine of its own, on copies of the caller's arguments: at the deadline
// the caller gets the context's error, and a later result is wiped or closed. This costs
// one or two microseconds, so it is not done for a context without a deadline: cancelling
// such a context ends the wait for a session or a lock, but not a call that hangs.

// hasDeadline reports whether calls with this context run in bounded.
func hasDeadline(ctx context.Context) bool {
	_, ok := ctx.Deadline()
	return ok
}

// bounded runs f and returns its result, or the context's error if the context is done
// first. In that case discard gets the result of f once it succeeds.
func bounded[T any](ctx context.Context, f func() (T, error), discard func(T)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	var decided atomic.Bool // by the first of the two
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

// keep is the discard function for results that need no cleanup.
func keep[T any](T) {}

// boundedAppend is bounded for a call whose result is appended to dst. It wipes its copy.
func boundedAppend(ctx context.Context, dst []byte, f func() ([]byte, error)) ([]byte, error) {
	out, err := bounded(ctx, f, suite.Wipe)
	if err != nil {
		return nil, err
	}
	defer suite.Wipe(out)
	return append(dst, out...), nil
}

// closeLimit is how long Close waits for calls in the module.
const closeLimit = 30 * time.Second

var errHangs = errors.New("calls into the module do not return: the rest is done when they do")

// waitFor waits until all calls have left a gate and then runs then. It returns an error
// after the limit; then still runs when the calls have left.
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
		return cryptoki.Fault("Close", driver.Unavailable, errHangs)
	}
}
