//go:build cgo && unix

package session

import (
	"context"
	"errors"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

// waitLimit bounds how long a re-initialisation waits for running calls.
const waitLimit = 30 * time.Second

// A re-initialisation ends the logins of all tokens of a module. While another token
// works, repairs that need one are at least sharedInterval apart, calls that open a token
// wait until openingInterval has passed since the last one, and running calls are waited for
// only up to sharedWaitLimit, because no new calls can begin during the wait.
const (
	sharedInterval  = 30 * time.Second
	openingInterval = time.Second
	sharedWaitLimit = 2 * time.Second
)

// reinitialiseFor is reinitialise for the repair of one token. If another token works and
// the last re-initialisation is less than sharedInterval ago, it does nothing; the caller
// then only searches the slots again.
func (m *module) reinitialiseFor(ctx context.Context, t *token, seen uint64) error {
	if err := m.lock.take(ctx); err != nil {
		return err
	}
	defer m.lock.give()
	shared := m.othersWork(ctx, t)
	if shared && time.Since(m.lastInit) < sharedInterval {
		return nil
	}
	return m.reinitialise(ctx, seen, shared)
}

// reinitialiseForAll is reinitialise for a caller that looks for a token.
func (m *module) reinitialiseForAll(ctx context.Context, seen uint64) error {
	if err := m.lock.take(ctx); err != nil {
		return err
	}
	defer m.lock.give()
	shared := m.othersWork(ctx, nil)
	if rest := openingInterval - time.Since(m.lastInit); shared && rest > 0 {
		select {
		case <-time.After(rest):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return m.reinitialise(ctx, seen, shared)
}

// reinitialise initialises the module again, once no call is inside. seen is the
// generation that failed: if there is a newer one, reinitialise does nothing. It does not
// finalise a module that another library initialised. The caller holds the lock.
func (m *module) reinitialise(ctx context.Context, seen uint64, shared bool) error {
	if m.generation.Load() != seen {
		return nil
	}
	limit := waitLimit
	if shared {
		limit = sharedWaitLimit
	}
	m.lastInit = time.Now()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := m.calls.block(limited); err != nil {
		return stillBusy(ctx)
	}
	defer m.calls.open()
	m.finalise()
	return m.initialise()
}

// othersWork reports whether a token other than t works. The caller holds the lock.
func (m *module) othersWork(ctx context.Context, t *token) bool {
	for _, other := range m.tokens {
		if other != t && !other.down.Load() && other.loggedIn(ctx) {
			return true
		}
	}
	return false
}

// stillBusy returns the error of a re-initialisation that running calls prevent.
func stillBusy(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return cryptoki.Fault("C_Finalize", driver.Unavailable, errors.New("calls into the module do not return"))
}
