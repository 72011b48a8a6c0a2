//go:build cgo && unix

package pkcs11

import (
	"context"
	"time"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/gate"
)

// A Driver is a [driver.Driver] for one token. It also implements [driver.Importer],
// [driver.WrappedImporter], [driver.Lister] and [driver.Random], as far as its Info says
// so.
type Driver struct {
	info    driver.Info
	profile profile
	able    *abilities
	gate    gate.Gate
	limit   time.Duration // how long Close waits
	token   *token
	pin     *credential
	pool    *pool
	budgets budgetBook
}

var (
	_ driver.Driver          = (*Driver)(nil)
	_ driver.Importer        = (*Driver)(nil)
	_ driver.WrappedImporter = (*Driver)(nil)
	_ driver.Lister          = (*Driver)(nil)
	_ driver.Random          = (*Driver)(nil)
)

// Info returns the capability table with the results of the self-test.
func (d *Driver) Info() driver.Info { return d.info }

// enter checks the context first, then lets a call in.
func (d *Driver) enter(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !d.gate.Enter() {
		return fault(op, driver.Unavailable, errClosed)
	}
	return nil
}

// enterFor is enter for a call that makes or opens a key. It returns the shape of the
// spec, or Unsupported.
func (d *Driver) enterFor(ctx context.Context, op string, spec driver.KeySpec) (shape, error) {
	if err := d.enter(ctx, op); err != nil {
		return shape{}, err
	}
	sh, known := d.profile.shapeOf(spec)
	if _, listed := d.info.Find(spec); !known || !listed {
		d.gate.Leave()
		return shape{}, fault(op, driver.Unsupported, errSpec)
	}
	return sh, nil
}

// GenerateKey makes a persistent key in the token. If the token has a key of the same
// spec under id that it generated itself, GenerateKey returns that one. A key of another
// spec under id is Invalid, and so is a key that was not generated in the token
// (CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE), as far as the token reports
// that.
func (d *Driver) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	if !hasDeadline(ctx) {
		return d.generateKey(ctx, id, spec)
	}
	return bounded(ctx, func() (driver.Created, error) { return d.generateKey(ctx, id, spec) }, keep)
}

func (d *Driver) generateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	sh, err := d.enterFor(ctx, "GenerateKey", spec)
	if err != nil {
		return driver.Created{}, err
	}
	defer d.gate.Leave()
	if spec.Usage == driver.Unwrap {
		return driver.Created{}, fault("GenerateKey", driver.Unsupported, errSpec)
	}
	return d.make(ctx, d.generated(sh, id), session.generate)
}

// generated returns the request for a persistent key that the token generates.
func (d *Driver) generated(sh shape, id driver.MaterialID) request {
	r := d.lasting(sh, id)
	r.origin = d.able.origin[sh.class]
	return r
}

// lasting returns the request for a persistent key.
func (d *Driver) lasting(sh shape, id driver.MaterialID) request {
	return request{shape: sh, id: id, persistent: true, deviceIV: d.profile.deviceIV}
}

// make makes a key, or returns the existing one.
func (d *Driver) make(ctx context.Context, r request, how func(session, request) (p11.ObjectHandle, error)) (created driver.Created, err error) {
	done, err := d.write(ctx, r.id)
	if err != nil {
		return driver.Created{}, err
	}
	defer done()
	err = d.run(ctx, func(s session) (err error) {
		created, err = s.makeOnce(r, how)
		return err
	})
	return created, err
}

// write locks the id for writing, and the whole token unless its profile allows
// concurrent writers. The caller calls done.
func (d *Driver) write(ctx context.Context, id driver.MaterialID) (done func(), err error) {
	if err := d.token.ids.take(ctx, id); err != nil {
		return nil, err
	}
	if d.profile.parallel {
		return func() { d.token.ids.give(id) }, nil
	}
	if err := d.token.writer.take(ctx); err != nil {
		d.token.ids.give(id)
		return nil, err
	}
	return func() {
		d.token.writer.give()
		d.token.ids.give(id)
	}, nil
}

// Close waits for running calls, for at most 30 s, and closes the driver's sessions. The
// last driver of a token closes the last session of this package on it, which ends the
// login unless another library in the process has a session there. The last driver of a
// module finalises the module if this package initialised it. If calls are still running
// after the wait, Close returns Unavailable, and the rest is done when they return.
func (d *Driver) Close() error {
	first := d.gate.Close()
	return waitFor(&d.gate, d.limit, func() error {
		if !first {
			return nil
		}
		return d.leave()
	})
}
