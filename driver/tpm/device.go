package tpm

import (
	"context"
	"errors"
	"time"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// A device is a TPM and what this program has in it. It belongs to the one goroutine
// that executes calls.
type device struct {
	cfg   Config
	arena *lockedmem.Arena
	link  link
	buf   []byte

	srk     *storageKey // as of this connection
	pinned  string      // the name that the key had when the driver was opened
	session *session
	slots   slots
	clock   clock
	down    bool // the last attempt to connect failed
	hung    time.Time
}

// A clock tells the TPM's resets apart. Saved contexts are valid for one of them.
type clock struct{ resets, restarts uint32 }

const (
	sessionUses = 1 << 16
	sessionAge  = time.Hour
)

// ready makes sure of a connection, the right storage root key and a session.
func (d *device) ready() error {
	if time.Since(d.hung) < greeting {
		return &lostError{errHangs} // those who wait behind a call that hung need not wait as long
	}
	if d.link.conn == nil {
		d.drop() // it may have been lost where nobody cared, as in flush
		if err := d.connect(); err != nil {
			d.drop()
			return err
		}
	}
	if d.session.uses > sessionUses || time.Since(d.session.born) > sessionAge {
		return d.renew()
	}
	return nil
}

// connect opens the device and finds its way about.
func (d *device) connect() error {
	if err := d.dial(); err != nil {
		return &lostError{err}
	}
	d.link.limit = greeting
	defer func() { d.link.limit = limit }()
	if err := d.start(); err != nil {
		return err
	}
	if d.cfg.exclusive() {
		if err := d.flushStrays(); err != nil {
			return err
		}
	}
	srk, err := d.findSRK()
	if err != nil {
		return err
	}
	if d.pinned != "" && srk.serial() != d.pinned {
		return errOther
	}
	d.srk, d.pinned = srk, srk.serial()
	d.session, err = d.startSession(tpm2.TPMSEHMAC)
	return err
}

// dial connects, again and again while there is patience. A TPM that was not there for
// the last call either gets one chance.
func (d *device) dial() error {
	until := time.Now().Add(d.cfg.patience())
	for {
		conn, err := d.cfg.connect()
		if err == nil {
			d.link.conn, d.down = conn, false
			return nil
		}
		if d.down || time.Now().After(until) || !d.link.rest(10*time.Millisecond) {
			d.down = true
			return err
		}
	}
}

// start makes sure that the TPM was started, and forgets contexts of before a reset.
func (d *device) start() error {
	now, err := d.readClock()
	if codeOf(err) == tpm2.TPMRCInitialize {
		clear := []byte{0, 0}
		if _, err = d.execute(command{code: tpm2.TPMCCStartup, params: clear}); err == nil {
			now, err = d.readClock()
		}
	}
	if err != nil {
		return err
	}
	if now != d.clock {
		d.slots.forgetContexts()
	}
	d.clock = now
	return nil
}

func (d *device) readClock() (clock, error) {
	rsp, err := d.execute(command{code: tpm2.TPMCCReadClock})
	if err != nil {
		return clock{}, err
	}
	r := reader{rest: rsp.params}
	r.bytes(16)
	now := clock{r.u32(), r.u32()}
	r.u8()
	return now, r.done()
}

// flushStrays empties a TPM that is this program's alone.
func (d *device) flushStrays() error {
	for _, kind := range []tpm2.TPMHandle{0x80000000, 0x02000000, 0x03000000} {
		handles, err := d.handles(kind)
		if err != nil {
			return err
		}
		for _, h := range handles {
			d.flush(h)
		}
	}
	return nil
}

// handles lists what is loaded, of the kind that first begins.
func (d *device) handles(first tpm2.TPMHandle) ([]tpm2.TPMHandle, error) {
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: uint32(first), PropertyCount: 64}.Execute(&d.link)
	if err != nil {
		return nil, err
	}
	list, err := rsp.CapabilityData.Data.Handles()
	if err != nil {
		return nil, err
	}
	return list.Handle, nil
}

// startSession starts a salted session of a kind.
func (d *device) startSession(kind tpm2.TPMSE) (s *session, err error) {
	err = d.withSRK(func(parent entity) error {
		salt := *d.srk
		salt.handle = parent.handle
		s, err = startSession(&d.link, d.arena, sessionKind{kind, &salt})
		return err
	})
	return s, err
}

// renew replaces the session.
func (d *device) renew() error {
	d.flush(d.session.handle)
	d.session.drop()
	d.session = nil
	var err error
	if d.session, err = d.startSession(tpm2.TPMSEHMAC); err != nil {
		d.drop()
	}
	return err
}

// execute runs a command that is marshalled by hand.
func (d *device) execute(c command) (response, error) {
	var secret []byte
	if c.session != nil {
		secret = c.session.secret(c.auth)
		defer suite.Wipe(secret)
	}
	d.buf = c.append(d.buf[:0], secret)
	rsp, err := d.link.Send(d.buf)
	if err != nil {
		return response{}, err
	}
	return c.parse(rsp, secret)
}

// flush frees a handle. It may be gone already.
func (d *device) flush(h tpm2.TPMHandle) {
	d.execute(command{code: tpm2.TPMCCFlushContext, params: handleBytes(h)})
}

// drop lets the connection go, and with it everything that has a handle.
func (d *device) drop() {
	d.link.close()
	d.session.drop()
	d.session = nil
	d.slots.forgetHandles()
}

// close leaves the TPM as it was found.
func (d *device) close() {
	d.link.ctx = context.Background()
	if d.link.conn != nil && d.session != nil {
		d.slots.evictAll(d)
		d.flush(d.session.handle)
	}
	d.drop()
	d.link.conn = nil
}

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
