// Package transport connects to a TPM: through a device file, a socket or a transport of
// the caller. It limits how long a command may take, and resends commands that the TPM
// asks to resend.
package transport

import (
	"context"
	"errors"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver/tpm/internal/wire"
)

// Limits are the time limits of a Connection.
type Limits struct {
	// Command is how long a command may take before the driver treats the TPM as hung.
	// Some chips take most of a minute for an RSA key.
	Command time.Duration
	// Greeting replaces Command while a new connection is set up, if the TPM serves this
	// program only. Elsewhere the commands of other programs can delay the first ones.
	Greeting time.Duration
	// Retry bounds how long a command is resent, and SelfTest how much longer it is
	// resent if the TPM reports that it runs its self-test.
	Retry, SelfTest time.Duration
}

// DefaultLimits returns the limits for a TPM whose kind is not known.
func DefaultLimits() Limits {
	return Limits{Command: 90 * time.Second, Greeting: 5 * time.Second, Retry: 5 * time.Second, SelfTest: 30 * time.Second}
}

// A Connection is the connection to a TPM. It resends a command if the TPM reports that
// it only needs time. It does not use go-tpm's own retry loop, which loses the response
// code when it gives up. One goroutine uses it at a time.
//
// The zero Connection with Limits, Limit and Context is one that is not connected. The
// caller sets Context to that of the present call.
type Connection struct {
	conn    transport.TPMCloser // nil if not connected
	guard   *watchdog           // of conn
	posted  []byte              // the command given to Begin, if conn sends and receives in one call
	Limits  Limits
	Limit   time.Duration   // for the present command
	Context context.Context // of the present call; it ends pauses, never a command
	Sent    uint64          // the number of commands that were sent
}

// A duplex is a transport that lets the caller work while the TPM does: Post sends a
// command, Fetch receives its response. The response is valid until the next Fetch.
type duplex interface {
	Post(command []byte) error
	Fetch() ([]byte, error)
}

var (
	errNoConnection = errors.New("not connected")
	// ErrHung reports that a command took longer than the limit.
	ErrHung = errors.New("the TPM does not answer")
)

// A LostError reports that the connection ended. The TPM may have executed the command.
type LostError struct{ Err error }

func (e *LostError) Error() string { return "the connection to the TPM ended: " + e.Err.Error() }
func (e *LostError) Unwrap() error { return e.Err }

// Open makes conn the transport of the connection.
func (c *Connection) Open(conn transport.TPMCloser) { c.conn, c.guard = conn, watch(conn) }

// Connected reports whether there is a transport. A transport that fails is closed.
func (c *Connection) Connected() bool { return c.conn != nil }

// Unmanaged reports whether the transport is a device without a resource manager, such as
// /dev/tpm0.
func (c *Connection) Unmanaged() bool { return unmanaged(c.conn) }

// Send implements [transport.TPM].
func (c *Connection) Send(cmd []byte) ([]byte, error) {
	if err := c.Begin(cmd); err != nil {
		return nil, err
	}
	return c.End(cmd)
}

// Begin sends a command. The caller may do other work before it calls End.
func (c *Connection) Begin(cmd []byte) error {
	if c.conn == nil {
		return &LostError{errNoConnection}
	}
	c.Sent++
	c.guard.begin(c.Limit)
	both, ok := c.conn.(duplex)
	if !ok {
		c.posted = cmd
		return nil
	}
	if err := both.Post(cmd); err != nil {
		return c.fail(err)
	}
	return nil
}

// End waits for the response to the command that begin sent. If the TPM reports that it
// needs time, End resends the command.
func (c *Connection) End(cmd []byte) ([]byte, error) {
	pause, until, tests := 2*time.Millisecond, time.Time{}, false
	for {
		rsp, err := c.receive()
		if err != nil {
			return nil, err
		}
		code := wire.ResponseCode(rsp)
		if wire.ActionOf(code) != wire.Resend {
			return rsp, nil
		}
		if until.IsZero() {
			until = time.Now().Add(c.Limits.Retry)
		}
		if code == tpm2.TPMRCTesting && !tests {
			until, tests = until.Add(c.Limits.SelfTest), true
		}
		if time.Now().Add(pause).After(until) || !c.Pause(pause) {
			return rsp, nil
		}
		pause = min(2*pause, 250*time.Millisecond)
		if err := c.Begin(cmd); err != nil {
			return nil, err
		}
	}
}

// receive waits for a response. If it takes too long the connection is closed.
func (c *Connection) receive() (rsp []byte, err error) {
	if c.conn == nil {
		return nil, &LostError{errNoConnection}
	}
	if both, ok := c.conn.(duplex); ok {
		rsp, err = both.Fetch()
	} else {
		rsp, err = c.conn.Send(c.posted)
	}
	if err != nil || c.guard.end() {
		return nil, c.fail(err)
	}
	return rsp, nil
}

// fail closes a connection that failed, and returns the LostError.
func (c *Connection) fail(err error) error {
	if c.guard.end() {
		err = ErrHung
	}
	c.Close()
	return &LostError{err}
}

// Pause pauses. It returns false if the call's context is done first.
func (c *Connection) Pause(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.Context.Done():
		return false
	}
}

// Close closes the transport. It does nothing if there is no connection.
func (c *Connection) Close() {
	if c.conn != nil {
		c.guard.stop()
		c.conn.Close()
		c.conn = nil
	}
}
