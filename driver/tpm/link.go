package tpm

import (
	"context"
	"errors"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// limits are the time limits of a link.
type limits struct {
	// command is how long a command may take before the driver treats the TPM as hung.
	// Some chips take most of a minute for an RSA key.
	command time.Duration
	// greeting replaces command while a new connection is set up, if the TPM serves this
	// program only. Elsewhere the commands of other programs can delay the first ones.
	greeting time.Duration
	// patience bounds how long a command is resent, and selfTest how much longer it is
	// resent if the TPM reports that it runs its self-test.
	patience, selfTest time.Duration
}

func usual() limits {
	return limits{command: 90 * time.Second, greeting: 5 * time.Second, patience: 5 * time.Second, selfTest: 30 * time.Second}
}

// A link is the connection to a TPM. It resends a command if the TPM reports that it only
// needs time. It does not use go-tpm's own retry loop, which loses the response code when
// it gives up.
type link struct {
	conn   transport.TPMCloser // nil if not connected
	guard  *watchdog           // of conn
	posted []byte              // the command given to begin, if conn sends and receives in one call
	limits limits
	limit  time.Duration   // for the present command
	ctx    context.Context // of the present call; it ends pauses, never a command
	sent   uint64
}

// A duplex is a transport that lets the caller work while the TPM does: Post sends a
// command, Fetch receives its response. The response is valid until the next Fetch.
type duplex interface {
	Post(command []byte) error
	Fetch() ([]byte, error)
}

var (
	errNoConnection = errors.New("not connected")
	errHangs        = errors.New("the TPM does not answer")
)

// Send implements [transport.TPM].
func (l *link) Send(cmd []byte) ([]byte, error) {
	if err := l.begin(cmd); err != nil {
		return nil, err
	}
	return l.end(cmd)
}

// begin sends a command. The caller may do other work before it calls end.
func (l *link) begin(cmd []byte) error {
	if l.conn == nil {
		return &lostError{errNoConnection}
	}
	l.sent++
	l.guard.begin(l.limit)
	both, ok := l.conn.(duplex)
	if !ok {
		l.posted = cmd
		return nil
	}
	if err := both.Post(cmd); err != nil {
		return l.lose(err)
	}
	return nil
}

// end waits for the response to the command that begin sent. If the TPM reports that it
// needs time, end resends the command.
func (l *link) end(cmd []byte) ([]byte, error) {
	pause, until, tests := 2*time.Millisecond, time.Time{}, false
	for {
		rsp, err := l.receive()
		if err != nil {
			return nil, err
		}
		code := responseCode(rsp)
		if remedyOf(code) != resend {
			return rsp, nil
		}
		if until.IsZero() {
			until = time.Now().Add(l.limits.patience)
		}
		if code == tpm2.TPMRCTesting && !tests {
			until, tests = until.Add(l.limits.selfTest), true
		}
		if time.Now().Add(pause).After(until) || !l.rest(pause) {
			return rsp, nil
		}
		pause = min(2*pause, 250*time.Millisecond)
		if err := l.begin(cmd); err != nil {
			return nil, err
		}
	}
}

// receive waits for a response. If it takes too long the connection is closed.
func (l *link) receive() (rsp []byte, err error) {
	if l.conn == nil {
		return nil, &lostError{errNoConnection}
	}
	if both, ok := l.conn.(duplex); ok {
		rsp, err = both.Fetch()
	} else {
		rsp, err = l.conn.Send(l.posted)
	}
	if err != nil || l.guard.end() {
		return nil, l.lose(err)
	}
	return rsp, nil
}

// lose closes a connection that failed, and returns the lostError.
func (l *link) lose(err error) error {
	if l.guard.end() {
		err = errHangs
	}
	l.close()
	return &lostError{err}
}

// rest pauses. It returns false if the call's context is done first.
func (l *link) rest(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.ctx.Done():
		return false
	}
}

func (l *link) close() {
	if l.conn != nil {
		l.guard.stop()
		l.conn.Close()
		l.conn = nil
	}
}
