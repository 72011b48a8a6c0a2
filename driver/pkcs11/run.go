//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"
	"runtime"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// maxRepairs bounds how often one call is repeated. Two repairs are usual; more are for a
// token that is removed again during a repair.
const maxRepairs = 5

// run calls f with a session of a logged-in token. After a failure it repairs the session
// or login, then the module, and calls f again.
func (d *Driver) run(ctx context.Context, f func(session) error) error {
	done := nothing
	for range maxRepairs {
		seen, err := d.try(ctx, f)
		if err == nil {
			return nil
		}
		how, final := d.diagnose(ctx, failure{seen, err, done})
		if how == nothing {
			return final
		}
		if err := d.token.restore(ctx, seen, how); err != nil {
			return failed(err)
		}
		done = max(done, how)
	}
	return fault("token", driver.Unavailable, errDown)
}

// A failure is an error, the epoch in which it occurred, and the repair that was made
// before.
type failure struct {
	seen *epoch
	err  error
	done cure
}

// diagnose decides how to handle a failure. It returns a cure, or nothing and the error
// for the caller.
//
// A missing object or a wrong ciphertext is believed only at the second failure, and only
// if the sentinel works in the same epoch, because a session that is opened while the
// login is being restored finds no objects and reports no error.
func (d *Driver) diagnose(ctx context.Context, x failure) (cure, error) {
	v := judge(x.err)
	switch {
	case v.cure == nothing || ctx.Err() != nil:
		return nothing, failed(x.err)
	case v.cure == renewal && x.done == renewal:
		return nothing, failed(x.err)
	case v.cure == renewal:
		return renewal, nil
	case x.done < again:
		return again, nil
	case d.well(ctx) && d.token.epoch.Load() == x.seen:
		return nothing, failed(x.err)
	case d.token.epoch.Load() != x.seen:
		return again, nil
	case x.done < renewal:
		return renewal, nil
	}
	return nothing, fault("token", driver.Unavailable, errDown)
}

// well reports whether the sentinel can be used now.
func (d *Driver) well(ctx context.Context) bool {
	sentinel := d.token.sentinel.Load()
	if sentinel == nil {
		return d.token.alive(ctx)
	}
	_, err := d.try(ctx, sentinel.ping)
	return err == nil
}

// try calls f once. It returns the epoch in which it did so.
func (d *Driver) try(ctx context.Context, f func(session) error) (*epoch, error) {
	seen := d.token.epoch.Load()
	if seen == nil || d.token.down.Load() {
		return seen, errDown
	}
	if err := d.pool.wait(ctx); err != nil {
		return seen, err
	}
	tired, err := d.inside(ctx, f, &seen)
	if full(err) {
		if err := d.pool.shrink(); err != nil {
			d.pool.done()
			return seen, err
		}
		return d.try(ctx, f) // this permit stays held back
	}
	d.pool.done()
	if tired {
		runtime.Gosched()
	}
	return seen, err
}

// inside is the part of try within the drain. It sets *seen to the current epoch. tired
// reports that the caller should let other goroutines run.
func (d *Driver) inside(ctx context.Context, f func(session) error, seen **epoch) (tired bool, err error) {
	if err := d.token.mod.drain.enter(ctx); err != nil {
		return false, err
	}
	defer d.token.mod.drain.leave()
	e := d.token.epoch.Load()
	if e == nil || e.generation != d.token.mod.generation.Load() {
		return false, errStale
	}
	*seen = e
	s, err := d.pool.take(e)
	if err != nil {
		return false, err
	}
	err = f(s)
	if codeOf(err) != p11.CKR_OK {
		d.pool.drop(s, err)
		return false, err
	}
	tired = s.tired()
	d.pool.put(s)
	return tired, err
}

// full reports whether a session could not be opened because the token has too many.
func full(err error) bool {
	e, ok := errors.AsType[*codeError](err)
	return ok && e.call == "C_OpenSession" &&
		(e.code == p11.CKR_SESSION_COUNT || e.code == p11.CKR_DEVICE_MEMORY || e.code == p11.CKR_HOST_MEMORY)
}
