package tpm

import (
	"context"
	"errors"
	"time"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
)

// perform runs act, and repeats it as far as the TPM's response calls for that. Every act
// is repeatable: it makes no lasting change to the TPM, or checks first whether it was
// made.
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

// mend repeats act after an error, as long as a repetition can succeed.
func (d *device) mend(act func(*device) error, err error) error {
	const tries = 4
	for try := 1; d.remedied(err) && try < tries && d.link.ctx.Err() == nil; try++ {
		err = d.attempt(act)
	}
	return err
}

// remedied applies the remedy for an error, and reports whether another attempt can
// succeed.
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
		d.drop() // the nonces no longer match; do not repeat, because this may not be the TPM
		return false
	case errors.As(err, &lost) || remedyOf(code) == reopen:
		d.drop()
	case remedyOf(code) == free:
		d.makeAllRoom()
	case unread(err) || refusal(code):
		d.drop() // the session may be out of step, or its storage root key may have changed
		return false
	default:
		return false
	}
	return true
}

// unread reports whether an error is due to a response that does not parse. Every other
// error has a code or a class, or is a context's.
func unread(err error) bool {
	var classified *driver.Error
	return codeOf(err) == 0 && !errors.As(err, &classified) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// refusal reports whether the TPM rejected an authorization. It uses the same codes for a
// session that is out of step.
func refusal(code tpm2.TPMRC) bool {
	return base(code) == tpm2.TPMRCBadAuth || base(code) == tpm2.TPMRCAuthFail
}
