package tpm

import (
	"context"
	"time"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// A device is a TPM and the state that this program has in it. One goroutine uses it at a
// time: the one to which the queue has given it.
type device struct {
	cfg   Config
	arena *lockedmem.Arena
	link  link
	buf   []byte

	srk     *storageKey // as found on this connection
	pinned  string      // the name of the key when the driver was opened
	session *session
	second  *session // alternates with session in a flow; nil until the first flow
	lone    bool     // the TPM has no room for a second session on this connection
	slots   slots
	clock   clock
	down    bool // the last attempt to connect failed
	hung    time.Time
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
	if !d.hung.IsZero() && time.Since(d.hung) < d.link.limits.greeting {
		return &lostError{errHangs} // calls that wait behind a command that hung must not wait as long
	}
	if d.link.conn == nil {
		d.drop() // the connection may have been closed without a drop, as flush does
		if err := d.connect(); err != nil {
			d.drop()
			return err
		}
	}
	if d.second.stale() {
		d.flush(d.second.handle)
		d.second.drop()
		d.second = nil
	}
	if d.session.stale() {
		return d.renew()
	}
	return nil
}

// stale reports whether a session has been used often or long enough to be replaced.
func (s *session) stale() bool {
	return s != nil && (s.uses > sessionUses || time.Since(s.born) > sessionAge)
}

// proven ensures that the session is in step with the TPM. It checks with a command that
// needs no authorization, so that a session out of step does not count as a wrong
// authorization.
func (d *device) proven() error {
	var random [1]byte
	err := d.random(random[:])
	if !refusal(codeOf(err)) {
		return err
	}
	if err := d.renew(); err != nil {
		return err
	}
	return d.random(random[:])
}

// execute runs a command. It wipes the parameters of a command that encrypts them.
func (d *device) execute(c command) (response, error) {
	if c.in {
		defer suite.Wipe(c.params)
	}
	return d.exchange(c)
}

// exchange is execute for a caller that needs the parameters again; it does not wipe
// them.
func (d *device) exchange(c command) (response, error) {
	var secret []byte
	if c.session != nil {
		secret = c.session.secret(c.auth)
	}
	d.buf = c.append(d.buf[:0], secret)
	rsp, err := d.link.Send(d.buf)
	if err != nil {
		return response{}, err
	}
	return c.parse(rsp, secret)
}

// flush frees a handle, which may be gone already. If the TPM does not free it, for
// example because the call's context is done, flush closes the connection: the kernel
// frees the handle then, or the next connection finds it as a stray.
func (d *device) flush(h tpm2.TPMHandle) {
	_, err := d.execute(command{code: tpm2.TPMCCFlushContext, params: handleBytes(h)})
	if err != nil && remedyOf(codeOf(err)) != reopen {
		d.link.close()
	}
}

// drop closes the connection and forgets everything that has a handle in it.
func (d *device) drop() {
	d.link.close()
	d.session.drop()
	d.second.drop()
	d.session, d.second, d.lone = nil, nil, false
	d.slots.forgetHandles()
}

// close flushes everything that this program has in the TPM, and closes the connection.
func (d *device) close() {
	d.link.ctx = context.Background()
	if d.link.conn != nil && d.session != nil {
		d.slots.evictAll(d)
		d.flush(d.session.handle)
		if d.second != nil {
			d.flush(d.second.handle)
		}
	}
	d.drop()
	d.link.conn = nil
}
