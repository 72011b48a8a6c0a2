package tpm

import (
	"time"

	"github.com/google/go-tpm/tpm2"
)

// connect opens the device, starts the TPM, flushes strays, finds the storage root key
// and starts a session.
func (d *device) connect() error {
	if err := d.dial(); err != nil {
		return &lostError{err}
	}
	if d.cfg.private() {
		d.link.limit = d.link.limits.greeting
		defer func() { d.link.limit = d.link.limits.command }()
	}
	if err := d.start(); err != nil {
		return err
	}
	if err := d.flushStrays(); err != nil {
		return err
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

// dial connects, and retries for as long as Config.Patience allows. If the previous call
// could not connect either, it tries once only.
func (d *device) dial() error {
	until := time.Now().Add(d.cfg.patience())
	for {
		conn, err := d.cfg.connect()
		if err == nil {
			d.link.conn, d.link.guard, d.down = conn, watch(conn), false
			return nil
		}
		if d.down || time.Now().After(until) || !d.link.rest(10*time.Millisecond) {
			d.down = true
			return err
		}
	}
}

// start sends TPM2_Startup if the TPM needs it, and invalidates saved contexts if the TPM
// was reset.
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

// startSession starts a session of a kind, salted to the storage root key.
func (d *device) startSession(kind tpm2.TPMSE) (s *session, err error) {
	err = d.withSRK(func(parent entity) error {
		salt := *d.srk
		salt.handle = parent.handle
		s, err = startSession(&d.link, d.arena, sessionKind{kind, &salt})
		return err
	})
	return s, err
}

// pair starts a second session if there is none, and reports whether there is one. After
// the TPM has refused one, it does not try again on this connection.
func (d *device) pair() bool {
	if d.second == nil && !d.lone {
		var err error
		if d.second, err = d.startSession(tpm2.TPMSEHMAC); err != nil {
			d.second, d.lone = nil, true
		}
	}
	return d.second != nil
}

// renew replaces the session by a new one.
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
