package tpm

import (
	"context"
	"errors"
	"time"

	"strongroom.example/driver"
)

// perform runs what a call wants done, and again where the TPM asks for that. All that
// is done here is repeatable: act brings no lasting change to the TPM, or looks first.
func (d *device) perform(ctx context.Context, act func(*device) error) error {
	d.link.ctx = ctx
	const tries = 4
	for try := 1; ; try++ {
		err := d.ready()
		if err == nil {
			err = act(d)
		}
		var lost *lostError
		code := codeOf(err)
		switch {
		case err == nil || errors.Is(err, driver.ErrWrongDevice) || d.down:
			return err
		case errors.Is(err, errHangs):
			if time.Since(d.hung) >= greeting {
				d.hung = time.Now()
			}
			return err
		case errors.Is(err, errForged) || errors.Is(err, errResponse):
			d.drop() // the nonces no longer match; nothing is tried on what may be no TPM
			return err
		case errors.As(err, &lost) || remedyOf(code) == reopen:
			d.drop()
		case remedyOf(code) == free:
			d.slots.evictAll(d)
		default:
			return err
		}
		if try == tries || ctx.Err() != nil {
			return err
		}
	}
}
