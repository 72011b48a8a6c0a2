package tpm

import (
	"context"
	"time"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// A device is a TPM and what this program has in it. It belongs to one goroutine at a
// time: that to which the queue gave it.
type device struct {
	cfg   Config
	arena *lockedmem.Arena
	link  link
	buf   []byte

	srk     *storageKey // as of this connection
	pinned  string      // the name that the key had when the driver was opened
	session *session
	second  *session // takes turns with it in a flow; nil until then
	lone    bool     // this connection has no room for a second one
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
	if !d.hung.IsZero() && time.Since(d.hung) < d.link.limits.greeting {
		return &lostError{errHangs} // those who wait behind a call that hung need not wait as long
	}
	if d.link.conn == nil {
		d.drop() // it may have been lost where nobody cared, as in flush
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

// stale reports whether a session has served long enough.
func (s *session) stale() bool {
	return s != nil && (s.uses > sessionUses || time.Since(s.born) > sessionAge)
}

// proven makes sure of a session that is in step with the TPM. It tries that on a command
// that wants no authorization, so that none is staked.
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

// execute runs a command that is marshalled by hand. Parameters that it encrypts are
// wiped.
func (d *device) execute(c command) (response, error) {
	if c.in {
		defer suite.Wipe(c.params)
	}
	return d.exchange(c)
}

// exchange is execute for parameters that are needed again.
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

// flush frees a handle. It may be gone already. Where that is not done, be it that
// the call's time is over, the connection goes: what is left then ends with it, or is
// found by the next.
func (d *device) flush(h tpm2.TPMHandle) {
	_, err := d.execute(command{code: tpm2.TPMCCFlushContext, params: handleBytes(h)})
	if err != nil && remedyOf(codeOf(err)) != reopen {
		d.link.close()
	}
}

// drop lets the connection go, and with it everything that has a handle.
func (d *device) drop() {
	d.link.close()
	d.session.drop()
	d.second.drop()
	d.session, d.second, d.lone = nil, nil, false
	d.slots.forgetHandles()
}

// close leaves the TPM as it was found.
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
