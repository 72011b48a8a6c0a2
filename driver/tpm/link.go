package tpm

import (
	"context"
	"errors"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// limits bound how long things may take.
type limits struct {
	// command is how long a command may take before the TPM is held to hang. Some chips
	// take most of a minute for an RSA key.
	command time.Duration
	// greeting is that for each command by which a new connection is made ready, where the
	// TPM is this program's alone. Elsewhere what others have it do comes first.
	greeting time.Duration
	// patience bounds how long a command is sent again and again, and selfTest how much
	// longer if the TPM says that it tests itself.
	patience, selfTest time.Duration
}

func usual() limits {
	return limits{command: 90 * time.Second, greeting: 5 * time.Second, patience: 5 * time.Second, selfTest: 30 * time.Second}
}

// A link is the connection to a TPM. It sends the same bytes again where the TPM says
// that it only needs time. go-tpm's own loop loses the code when it gives up.
type link struct {
	conn   transport.TPMCloser // nil while there is none
	guard  *watchdog           // of conn
	posted []byte              // what begin was given, where conn sends and receives in one
	limits limits
	limit  time.Duration   // for a command, now
	ctx    context.Context // of the call that is served: it ends pauses, never a command
	sent   uint64
}

// A duplex is a transport that gives the time back in which the TPM works: Post sends a
// command, Fetch receives its response, which is valid until the next Fetch.
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

// begin sends a command. The caller may do something else before it calls end.
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

// end waits for the response to the command that was begun. Where the TPM says that it
// needs time, it sends the same bytes again.
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

// receive waits for a response. One that takes too long loses the connection.
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

// lose lets a connection go that failed.
func (l *link) lose(err error) error {
	if l.guard.end() {
		err = errHangs
	}
	l.close()
	return &lostError{err}
}

// rest pauses, and reports whether the call still waits.
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
