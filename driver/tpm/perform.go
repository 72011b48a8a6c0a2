package tpm

import (
	"context"
	"errors"
	"time"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
)

// perform runs what a call wants done, and again where the TPM asks for that. All that
// is done here is repeatable: act brings no lasting change to the TPM, or looks first.
func (d *device) perform(ctx context.Context, act func(*device) error) error {
	d.link.ctx = ctx
	return d.mend(act, d.attempt(act))
}

func (d *device) attempt(act func(*device) error) error {
	if err := d.ready(); err != nil {
		return err
	}
	return act(d)
}

// mend does again what ended with an error, as long as that promises anything.
func (d *device) mend(act func(*device) error, err error) error {
	const tries = 4
	for try := 1; d.remedied(err) && try < tries && d.link.ctx.Err() == nil; try++ {
		err = d.attempt(act)
	}
	return err
}

// remedied does what an error calls for, and reports whether another attempt may end
// otherwise.
func (d *device) remedied(err error) bool {
	if err == nil {
		return false
	}
	var lost *lostError
	code := codeOf(err)
	switch {
	case errors.Is(err, driver.ErrWrongDevice) || d.down:
		return false
	case errors.Is(err, errHangs):
		if time.Since(d.hung) >= d.link.limits.greeting {
			d.hung = time.Now()
		}
		return false
	case errors.Is(err, errForged) || errors.Is(err, errResponse):
		d.drop() // the nonces no longer match; nothing is tried on what may be no TPM
		return false
	case errors.As(err, &lost) || remedyOf(code) == reopen:
		d.drop()
	case remedyOf(code) == free:
		d.makeAllRoom()
	case unread(err) || refusal(code):
		d.drop() // the session may be out of step, or its storage root key another by now
		return false
	default:
		return false
	}
	return true
}

// unread reports whether an error is of a response that does not parse: all others have
// a code, a class, or are a context's.
func unread(err error) bool {
	var classified *driver.Error
	return codeOf(err) == 0 && !errors.As(err, &classified) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// refusal reports whether the TPM did not take an authorization. A session that is out
// of step with it is refused in the same words.
func refusal(code tpm2.TPMRC) bool {
	return base(code) == tpm2.TPMRCBadAuth || base(code) == tpm2.TPMRCAuthFail
}
