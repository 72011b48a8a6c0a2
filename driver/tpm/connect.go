package tpm

import (
	"time"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver/tpm/internal/transport"
	"strongroom.example/driver/tpm/internal/wire"
)

// connect opens the device, starts the TPM, flushes stale handles, finds the storage root
// key and starts a session.
func (d *device) connect() error {
	if err := d.dial(); err != nil {
		return &transport.LostError{Err: err}
	}
	if d.address.Private() {
		d.link.Limit = d.link.Limits.Greeting
		defer func() { d.link.Limit = d.link.Limits.Command }()
	}
	if err := d.start(); err != nil {
		return err
	}
	if err := d.flushStale(); err != nil {
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
	until := time.Now().Add(d.cfg.dialTime())
	for {
		conn, err := d.address.Connect(d.link.Context)
		if err == nil {
			d.link.Open(conn)
			d.down = false
			return nil
		}
		if d.down || time.Now().After(until) || !d.link.Pause(10*time.Millisecond) {
			d.down = true
			return err
		}
	}
}

// start sends TPM2_Startup if the TPM needs it, and invalidates saved contexts if the TPM
// was reset.
func (d *device) start() error {
	now, err := d.readClock()
	if wire.CodeOf(err) == tpm2.TPMRCInitialize {
		clear := []byte{0, 0}
		if _, err = d.execute(wire.Command{Code: tpm2.TPMCCStartup, Params: clear}); err == nil {
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
	rsp, err := d.execute(wire.Command{Code: tpm2.TPMCCReadClock})
	if err != nil {
		return clock{}, err
	}
	r := wire.Reader{Rest: rsp.Params}
	r.Bytes(16)
	now := clock{r.U32(), r.U32()}
	r.U8()
	return now, r.Done()
}

// startSession starts a session of a kind, salted to the storage root key.
func (d *device) startSession(kind tpm2.TPMSE) (s *wire.Session, err error) {
	err = d.withSRK(func(parent wire.Entity) error {
		s, err = wire.StartSession(&d.link, d.arena, wire.SessionKind{Type: kind, SaltKey: parent.Handle, SaltPublic: &d.srk.public})
		return err
	})
	return s, err
}

// ensureSecond starts a second session if there is none, and reports whether there is
// one. After the TPM has refused one, it does not try again on this connection.
func (d *device) ensureSecond() bool {
	if d.second == nil && !d.singleSession {
		var err error
		if d.second, err = d.startSession(tpm2.TPMSEHMAC); err != nil {
			d.second, d.singleSession = nil, true
		}
	}
	return d.second != nil
}

// renew replaces the session by a new one.
func (d *device) renew() error {
	d.flush(d.session.Handle)
	d.session.Free()
	d.session = nil
	var err error
	if d.session, err = d.startSession(tpm2.TPMSEHMAC); err != nil {
		d.disconnect()
	}
	return err
}

// The first handle of each kind.
const (
	transients     tpm2.TPMHandle = 0x80000000
	loadedSessions tpm2.TPMHandle = 0x02000000
	savedSessions  tpm2.TPMHandle = 0x03000000
)

// exclusive returns the kinds of handles that only this program can have in the TPM.
// Handles of these kinds that the driver does not know are stale: its own, from before it
// lost its connection or was killed. Behind a socket these are all kinds. A device without a
// resource manager opens for one program at a time, and the kernel unloads the objects of
// the resource manager's users after each of their commands; saved sessions may belong to
// those users.
func (d *device) exclusive() []tpm2.TPMHandle {
	switch {
	case d.address.Private():
		return []tpm2.TPMHandle{transients, loadedSessions, savedSessions}
	case d.link.Unmanaged():
		return []tpm2.TPMHandle{transients, loadedSessions}
	}
	return nil
}

// flushStale flushes every stale handle.
func (d *device) flushStale() error {
	for _, kind := range d.exclusive() {
		handles, err := d.handles(kind)
		if err != nil {
			return err
		}
		for _, h := range handles {
			if !d.session.Is(h) && !d.second.Is(h) {
				d.flush(h)
			}
		}
	}
	return nil
}

// freeAllSlots flushes everything that this program may flush.
func (d *device) freeAllSlots() {
	d.slots.evictAll(d)
	d.flushStale() // if this fails, the next attempt does too and reports it
}

// handles lists the loaded handles of the kind that begins at first.
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
