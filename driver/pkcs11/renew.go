//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"
	"time"

	"strongroom.example/driver"
)

// drainLimit bounds how long a re-initialisation waits for running calls.
const drainLimit = 30 * time.Second

// A re-initialisation ends the logins of all tokens of a module. While another token
// works, repairs that need one are at least sharedRest apart, calls that open a token
// wait until openingRest has passed since the last one, and running calls are waited for
// only up to sharedDrain, because no new calls can begin during the wait.
const (
	sharedRest  = 30 * time.Second
	openingRest = time.Second
	sharedDrain = 2 * time.Second
)

// renewFor is renew for the repair of one token. If another token works and the last
// re-initialisation is less than sharedRest ago, it does nothing; the caller then only
// searches the slots again.
func (m *module) renewFor(ctx context.Context, t *token, seen uint64) error {
	if err := m.lock.take(ctx); err != nil {
		return err
	}
	defer m.lock.give()
	shared := m.serves(ctx, t)
	if shared && time.Since(m.renewed) < sharedRest {
		return nil
	}
	return m.renew(ctx, seen, shared)
}

// renewForAll is renew for a caller that looks for a token.
func (m *module) renewForAll(ctx context.Context, seen uint64) error {
	if err := m.lock.take(ctx); err != nil {
		return err
	}
	defer m.lock.give()
	shared := m.serves(ctx, nil)
	if rest := openingRest - time.Since(m.renewed); shared && rest > 0 {
		select {
		case <-time.After(rest):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return m.renew(ctx, seen, shared)
}

// renew initialises the module again, once no call is inside. seen is the generation that
// failed: if there is a newer one, renew does nothing. It does not finalise a module that
// another library initialised. The caller holds the lock.
func (m *module) renew(ctx context.Context, seen uint64, shared bool) error {
	if m.generation.Load() != seen {
		return nil
	}
	limit := drainLimit
	if shared {
		limit = sharedDrain
	}
	m.renewed = time.Now()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := m.drain.shut(limited); err != nil {
		return stillBusy(ctx)
	}
	defer m.drain.open()
	m.finalise()
	return m.initialise()
}

// serves reports whether a token other than t works. The caller holds the lock.
func (m *module) serves(ctx context.Context, t *token) bool {
	for _, other := range m.tokens {
		if other != t && !other.down.Load() && other.alive(ctx) {
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
	return fault("C_Finalize", driver.Unavailable, errors.New("calls into the module do not return"))
}
