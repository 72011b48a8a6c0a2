//go:build cgo && unix

package session

import (
	"context"
	"runtime"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/driver/pkcs11/internal/object"
)

// maxRepairs bounds how often one call is repeated. Two repairs are usual; more are for a
// token that is removed again during a repair.
const maxRepairs = 5

// Run calls f with a session of a logged-in token. After a failure it repairs the session
// or login, then the module, and calls f again.
func (c *Client) Run(ctx context.Context, f func(object.Session) error) error {
	done := cryptoki.None
	for range maxRepairs {
		seen, err := c.tryOnce(ctx, f)
		if err == nil {
			return nil
		}
		how, final := c.diagnose(ctx, failure{seen, err, done})
		if how == cryptoki.None {
			return final
		}
		if err := c.token.restore(ctx, seen, how); err != nil {
			return cryptoki.DriverError(err)
		}
		done = max(done, how)
	}
	return cryptoki.Fault("token", driver.Unavailable, cryptoki.ErrDown)
}

// A failure is an error, the epoch in which it occurred, and the repair that was made
// before.
type failure struct {
	seen *object.LoginEpoch
	err  error
	done cryptoki.Recovery
}

// diagnose decides how to handle a failure. It returns a recovery, or None and the error
// for the caller.
//
// A missing object or a wrong ciphertext is believed only at the second failure, and only
// if the sentinel works in the same epoch, because a session that is opened while the
// login is being restored finds no objects and reports no error.
func (c *Client) diagnose(ctx context.Context, x failure) (cryptoki.Recovery, error) {
	v := cryptoki.Classify(x.err)
	switch {
	case v.Recovery == cryptoki.None || ctx.Err() != nil:
		return cryptoki.None, cryptoki.DriverError(x.err)
	case v.Recovery == cryptoki.Reinitialise && x.done == cryptoki.Reinitialise:
		return cryptoki.None, cryptoki.DriverError(x.err)
	case v.Recovery == cryptoki.Reinitialise:
		return cryptoki.Reinitialise, nil
	case x.done < cryptoki.Retry:
		return cryptoki.Retry, nil
	case c.healthy(ctx) && c.token.epoch.Load() == x.seen:
		return cryptoki.None, cryptoki.DriverError(x.err)
	case c.token.epoch.Load() != x.seen:
		return cryptoki.Retry, nil
	case x.done < cryptoki.Reinitialise:
		return cryptoki.Reinitialise, nil
	}
	return cryptoki.None, cryptoki.Fault("token", driver.Unavailable, cryptoki.ErrDown)
}

// healthy reports whether the sentinel can be used now.
func (c *Client) healthy(ctx context.Context) bool {
	sentinel := c.token.sentinel.Load()
	if sentinel == nil {
		return c.token.loggedIn(ctx)
	}
	_, err := c.tryOnce(ctx, sentinel.Check)
	return err == nil
}

// tryOnce calls f once. It returns the epoch in which it did so.
func (c *Client) tryOnce(ctx context.Context, f func(object.Session) error) (*object.LoginEpoch, error) {
	seen := c.token.epoch.Load()
	if seen == nil || c.token.down.Load() {
		return seen, cryptoki.ErrDown
	}
	if err := c.pool.wait(ctx); err != nil {
		return seen, err
	}
	yield, err := c.withSession(ctx, f, &seen)
	if cryptoki.NoMoreSessions(err) {
		if err := c.pool.shrink(); err != nil {
			c.pool.done()
			return seen, err
		}
		return c.tryOnce(ctx, f) // this permit stays held back
	}
	c.pool.done()
	if yield {
		runtime.Gosched()
	}
	return seen, err
}

// withSession is the part of tryOnce that is counted as a call. It sets *seen to the
// current epoch. yield reports that the caller should let other goroutines run.
func (c *Client) withSession(ctx context.Context, f func(object.Session) error, seen **object.LoginEpoch) (yield bool, err error) {
	if err := c.token.mod.calls.enter(ctx); err != nil {
		return false, err
	}
	defer c.token.mod.calls.leave()
	e := c.token.epoch.Load()
	if e == nil || e.Generation != c.token.mod.generation.Load() {
		return false, cryptoki.ErrStale
	}
	*seen = e
	s, err := c.pool.take(e)
	if err != nil {
		return false, err
	}
	err = f(s.Session)
	if cryptoki.CodeOf(err) != p11.CKR_OK {
		c.pool.drop(s, err)
		return false, err
	}
	yield = s.shouldYield()
	c.pool.put(s)
	return yield, err
}
