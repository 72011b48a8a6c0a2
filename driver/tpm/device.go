package tpm

import (
	"context"
	"crypto/sha256"
	"time"

	"strongroom.example/driver/tpm/internal/transport"
	"strongroom.example/driver/tpm/internal/wire"
	"strongroom.example/internal/lockedmem"
)

// A device is a TPM and the state that this program has in it. One goroutine uses it at a
// time: the one to which the queue has given it.
type device struct {
	cfg     Config
	address transport.Address
	arena   *lockedmem.Arena
	link    transport.Connection
	buffers [2][]byte // of prepare

	srk           *storageKey // as found on this connection
	pinned        string      // the name of the key when the driver was opened
	session       *wire.Session
	second        *wire.Session // alternates with session in a pipeline; nil until the first one
	singleSession bool          // the TPM has no room for a second session on this connection
	slots         slots
	clock         clock
	down          bool // the last attempt to connect failed
	hung          time.Time
}

func newDevice(cfg Config, within transport.Limits) *device {
	return &device{
		cfg:     cfg,
		address: transport.NewAddress(cfg.Device, cfg.Dial),
		arena:   lockedmem.New(0),
		link:    transport.Connection{Limits: within, Limit: within.Command},
		pinned:  cfg.SRK,
		slots:   slots{known: make(map[[sha256.Size]byte]*resident)},
	}
}

// A clock identifies a period between two resets of the TPM. Saved contexts are valid in
// one such period.
type clock struct{ resets, restarts uint32 }

const (
	sessionUses = 1 << 16
	sessionAge  = time.Hour
)

// ready ensures that there is a connection, the right storage root key and a fresh
// session.
func (d *device) ready() error {
	if !d.hung.IsZero() && time.Since(d.hung) < d.link.Limits.Greeting {
		return &transport.LostError{Err: transport.ErrHung} // calls that wait behind a command that hung must not wait as long
	}
	if !d.link.Connected() {
		d.disconnect() // the connection may have been closed without a drop, as flush does
		if err := d.connect(); err != nil {
			d.disconnect()
			return err
		}
	}
	if stale(d.second) {
		d.flush(d.second.Handle)
		d.second.Free()
		d.second = nil
	}
	if stale(d.session) {
		return d.renew()
	}
	return nil
}

// stale reports whether a session has been used often or long enough to be replaced.
func stale(s *wire.Session) bool {
	return s != nil && (s.Uses > sessionUses || time.Since(s.Started) > sessionAge)
}

// ensureSession ensures that the session is in step with the TPM. It checks with a
// command that needs no authorization, so that a session out of step does not count as a
// wrong authorization.
func (d *device) ensureSession() error {
	var random [1]byte
	err := d.random(random[:])
	if !wire.AuthRefused(wire.CodeOf(err)) {
		return err
	}
	if err := d.renew(); err != nil {
		return err
	}
	return d.random(random[:])
}

// disconnect closes the connection and forgets everything that has a handle in it.
func (d *device) disconnect() {
	d.link.Close()
	d.session.Free()
	d.second.Free()
	d.session, d.second, d.singleSession = nil, nil, false
	d.slots.forgetHandles()
}

// close flushes everything that this program has in the TPM, and closes the connection.
func (d *device) close() {
	d.link.Context = context.Background()
	if d.link.Connected() && d.session != nil {
		d.slots.evictAll(d)
		d.flush(d.session.Handle)
		if d.second != nil {
			d.flush(d.second.Handle)
		}
	}
	d.disconnect()
}
