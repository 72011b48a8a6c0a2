package tpm

import (
	"context"
	"errors"
	"time"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/transport"
	"strongroom.example/driver/tpm/internal/wire"
	"strongroom.example/internal/suite"
)

// An exchange is a command on its way to the TPM and back. Every command that this package
// marshals takes the same steps: prepare, send, receive, result. execute takes them one
// after the other; the pipeline prepares and sends other commands in between.
type exchange struct {
	command  wire.Command
	sent     []byte
	received []byte // valid until the next receive
	err      error  // of send or receive
}

// prepare marshals a command. Two buffers alternate, so that the result is valid until the
// second call after this one.
func (d *device) prepare(c wire.Command) exchange {
	d.buffers[0], d.buffers[1] = d.buffers[1], d.buffers[0]
	d.buffers[0] = c.Append(d.buffers[0][:0])
	return exchange{command: c, sent: d.buffers[0]}
}

// send sends a prepared command.
func (d *device) send(x *exchange) { x.err = d.link.Begin(x.sent) }

// receive waits for the response to a command that was sent.
func (d *device) receive(x *exchange) {
	if x.err == nil {
		x.received, x.err = d.link.End(x.sent)
	}
}

// succeeded reports whether the TPM executed the command.
func (x *exchange) succeeded() bool {
	return x.err == nil && wire.ResponseCode(x.received) == tpm2.TPMRCSuccess
}

// result parses the response.
func (x *exchange) result() (wire.Response, error) {
	if x.err != nil {
		return wire.Response{}, x.err
	}
	return x.command.Parse(x.received)
}

// execute has the TPM execute a command. It wipes the parameters of a command that
// encrypts them.
func (d *device) execute(c wire.Command) (wire.Response, error) {
	if c.EncryptIn {
		defer suite.Wipe(c.Params)
	}
	x := d.prepare(c)
	d.send(&x)
	d.receive(&x)
	return x.result()
}

// flush frees a handle, which may be gone already. If the TPM does not free it, for
// example because the call's context is done, flush closes the connection: the kernel
// frees the handle then, or the next connection flushes it as stale.
func (d *device) flush(h tpm2.TPMHandle) {
	_, err := d.execute(wire.Command{Code: tpm2.TPMCCFlushContext, Params: wire.HandleBytes(h)})
	if err != nil && wire.ActionOf(wire.CodeOf(err)) != wire.Reconnect {
		d.link.Close()
	}
}

// perform runs act, and repeats it as far as the TPM's response calls for that. Every act
// is repeatable: it makes no lasting change to the TPM, or checks first whether it was
// made.
func (d *device) perform(ctx context.Context, act func(*device) error) error {
	d.link.Context = ctx
	return d.retryAfter(act, d.attempt(act))
}

func (d *device) attempt(act func(*device) error) error {
	if err := d.ready(); err != nil {
		return err
	}
	return act(d)
}

// retryAfter repeats act after an error, as long as a repetition can succeed.
func (d *device) retryAfter(act func(*device) error, err error) error {
	const tries = 4
	for try := 1; d.prepareRetry(err) && try < tries && d.link.Context.Err() == nil; try++ {
		err = d.attempt(act)
	}
	return err
}

// prepareRetry applies the remedy for an error, and reports whether another attempt can
// succeed.
func (d *device) prepareRetry(err error) bool {
	if err == nil {
		return false
	}
	var lost *transport.LostError
	code := wire.CodeOf(err)
	switch {
	case errors.Is(err, driver.ErrWrongDevice) || d.down:
		return false
	case errors.Is(err, transport.ErrHung):
		if time.Since(d.hung) >= d.link.Limits.Greeting {
			d.hung = time.Now()
		}
		return false
	case errors.Is(err, wire.ErrForged) || errors.Is(err, wire.ErrResponse):
		d.disconnect() // the nonces no longer match; do not repeat, because this may not be the TPM
		return false
	case errors.As(err, &lost) || wire.ActionOf(code) == wire.Reconnect:
		d.disconnect()
	case wire.ActionOf(code) == wire.FreeSlots:
		d.freeAllSlots()
	case unparsable(err) || wire.AuthRefused(code):
		d.disconnect() // the session may be out of step, or its storage root key may have changed
		return false
	default:
		return false
	}
	return true
}

// unparsable reports whether an error is due to a response that does not parse. Every other
// error has a code or a class, or is a context's.
func unparsable(err error) bool {
	var classified *driver.Error
	return wire.CodeOf(err) == 0 && !errors.As(err, &classified) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}
