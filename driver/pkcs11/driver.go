//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"
	"slices"
	"time"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/driver/pkcs11/internal/object"
	"strongroom.example/driver/pkcs11/internal/selftest"
	"strongroom.example/driver/pkcs11/internal/session"
	"strongroom.example/internal/gate"
	"strongroom.example/internal/suite"
)

// A Driver is a [driver.Driver] for one token. It also implements [driver.Importer],
// [driver.WrappedImporter], [driver.Lister] and [driver.Random]. A method for something
// that the token cannot do, which Info does not list, fails with Unsupported.
type Driver struct {
	info   driver.Info
	able   *selftest.Result
	client *session.Client
	gate   gate.Gate
	limit  time.Duration // how long Close waits
}

var (
	_ driver.Driver          = (*Driver)(nil)
	_ driver.Importer        = (*Driver)(nil)
	_ driver.WrappedImporter = (*Driver)(nil)
	_ driver.Lister          = (*Driver)(nil)
	_ driver.Random          = (*Driver)(nil)
)

var (
	errClosed    = errors.New("closed")
	errSpec      = errors.New("spec not offered")
	errAlgorithm = errors.New("algorithm not offered for this key")
	errLength    = errors.New("input of a wrong length")
	errBlob      = errors.New("keys of a token have no blob")
)

// Info returns the capability table with the results of the self-test.
func (d *Driver) Info() driver.Info { return d.info }

// Protector returns a protector with the token. The caller keeps the driver open for as
// long as it uses the protector. The token must support HMAC with SHA-256, or RSA
// decryption with OAEP and SHA-256; otherwise Protect is Unsupported. It is also
// Unsupported in the SM edition, because no token has an approved algorithm under a
// standard name.
func (d *Driver) Protector() *Protector { return newProtector(d) }

// enter checks the context first, then lets a call in.
func (d *Driver) enter(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !d.gate.Enter() {
		return cryptoki.Fault(op, driver.Unavailable, errClosed)
	}
	return nil
}

// enterFor is enter for a call that makes or opens a key. It returns the shape of the
// spec, or Unsupported.
func (d *Driver) enterFor(ctx context.Context, op string, spec driver.KeySpec) (object.Shape, error) {
	if err := d.enter(ctx, op); err != nil {
		return object.Shape{}, err
	}
	sh, known := d.client.Profile.ShapeOf(spec)
	if _, listed := d.info.Find(spec); !known || !listed {
		d.gate.Leave()
		return object.Shape{}, cryptoki.Fault(op, driver.Unsupported, errSpec)
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
		return driver.Created{}, cryptoki.Fault("GenerateKey", driver.Unsupported, errSpec)
	}
	return d.make(ctx, d.generated(sh, id), object.Session.Generate)
}

// generated returns the request for a persistent key that the token generates.
func (d *Driver) generated(sh object.Shape, id driver.MaterialID) object.KeyRequest {
	r := d.lasting(sh, id)
	r.Origin = d.able.Origin[sh.Class]
	return r
}

// lasting returns the request for a persistent key.
func (d *Driver) lasting(sh object.Shape, id driver.MaterialID) object.KeyRequest {
	return object.KeyRequest{Shape: sh, ID: id, Persistent: true}
}

// make makes a key, or returns the existing one.
func (d *Driver) make(ctx context.Context, r object.KeyRequest, how func(object.Session, object.KeyRequest) (p11.ObjectHandle, error)) (created driver.Created, err error) {
	done, err := d.client.LockForWrite(ctx, r.ID)
	if err != nil {
		return driver.Created{}, err
	}
	defer done()
	err = d.client.Run(ctx, func(s object.Session) (err error) {
		created, err = s.EnsureKey(r, how)
		return err
	})
	return created, err
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
		return d.client.Close()
	})
}

// Random fills p from the token's generator. After an error of the token p is zero. If
// the token was not called, or the context's deadline passed first, p is unchanged.
func (d *Driver) Random(ctx context.Context, p []byte) error {
	if !hasDeadline(ctx) {
		return d.fill(ctx, p)
	}
	own := slices.Clone(p)
	out, err := bounded(ctx, func() ([]byte, error) { return own, d.fill(ctx, own) }, suite.Wipe)
	copy(p, out) // zeros if the token failed, nothing after the deadline
	suite.Wipe(out)
	return err
}

func (d *Driver) fill(ctx context.Context, p []byte) error {
	const op = "Random"
	if err := d.enter(ctx, op); err != nil {
		return err
	}
	defer d.gate.Leave()
	if !d.info.Random {
		return cryptoki.Fault(op, driver.Unsupported, errSpec)
	}
	chunk := d.client.Profile.RandomChunk
	if chunk == 0 {
		chunk = max(1, len(p))
	}
	err := d.client.Run(ctx, func(s object.Session) error {
		for at := 0; at < len(p); at += chunk {
			if err := s.Lib.Random(uint(s.Handle), p[at:min(at+chunk, len(p))]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		suite.Wipe(p)
	}
	return err
}
