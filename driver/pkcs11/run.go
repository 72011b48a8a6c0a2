//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// run has f use a session of a logged-in token. f may be run again after a repair:
// once gently, once after the module was initialised anew.
func (d *Driver) run(ctx context.Context, f func(session) error) error {
	for done := nothing; ; {
		seen, err := d.try(ctx, f)
		if err == nil {
			return nil
		}
		how := d.cureFor(ctx, err, done)
		if how == nothing {
			return failed(err)
		}
		if err := d.token.restore(ctx, seen, how); err != nil {
			return failed(err)
		}
		done = how
	}
}

// cureFor decides what to do about a failure, after what was done already.
func (d *Driver) cureFor(ctx context.Context, err error, done cure) cure {
	switch v := judge(err); {
	case done == renewal || v.cure == nothing || ctx.Err() != nil:
		return nothing
	case v.cure == renewal:
		return renewal
	case v.cure == again && done < again:
		return again
	case v.cure == doubt && v.class != driver.NotFound && v.class != driver.Authentic && done < again:
		return again
	}
	// The token said so in two sessions, or it speaks of a ciphertext or of a missing
	// object. If the sentinel works the token is well, and the answer stands.
	if d.well(ctx) {
		return nothing
	}
	return renewal
}

// well reports whether the sentinel can be used just now.
func (d *Driver) well(ctx context.Context) bool {
	sentinel := d.token.sentinel.Load()
	if sentinel == nil {
		return d.token.alive(ctx)
	}
	_, err := d.try(ctx, sentinel.ping)
	return err == nil
}

// try runs f once. It returns the epoch in which it did.
func (d *Driver) try(ctx context.Context, f func(session) error) (*epoch, error) {
	seen := d.token.epoch.Load()
	if seen == nil || d.token.down.Load() {
		return seen, errDown
	}
	if err := d.pool.wait(ctx); err != nil {
		return seen, err
	}
	err := d.inside(ctx, f, &seen)
	if full(err) {
		if err := d.pool.shrink(); err != nil {
			d.pool.done()
			return seen, err
		}
		return d.try(ctx, f) // the permit is held back
	}
	d.pool.done()
	return seen, err
}

// inside is what try does inside the drain. *seen is the epoch that is found there.
func (d *Driver) inside(ctx context.Context, f func(session) error, seen **epoch) error {
	if err := d.token.mod.drain.enter(ctx); err != nil {
		return err
	}
	defer d.token.mod.drain.leave()
	e := d.token.epoch.Load()
	if e == nil || e.generation != d.token.mod.generation.Load() {
		return errStale
	}
	*seen = e
	s, err := d.pool.take(e)
	if err != nil {
		return err
	}
	err = f(s)
	if codeOf(err) == p11.CKR_OK {
		d.pool.put(s)
	} else {
		d.pool.drop(s)
	}
	return err
}

// full reports whether a session could not be opened because there are too many.
func full(err error) bool {
	var e *codeError
	return errors.As(err, &e) && e.call == "C_OpenSession" &&
		(e.code == p11.CKR_SESSION_COUNT || e.code == p11.CKR_DEVICE_MEMORY || e.code == p11.CKR_HOST_MEMORY)
}
