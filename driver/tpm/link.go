package tpm

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

const (
	// limit is how long a command may take before the TPM is held to hang. Some chips
	// take most of a minute for an RSA key.
	limit = 90 * time.Second
	// greeting is that for the first command of a connection.
	greeting = 5 * time.Second
	// patience and selfTest bound how long a command is sent again and again.
	patience = 5 * time.Second
	selfTest = 30 * time.Second
)

// A link is the connection to a TPM. It sends the same bytes again where the TPM says
// that it only needs time. go-tpm's own loop loses the code when it gives up.
type link struct {
	conn  transport.TPMCloser // nil while there is none
	limit time.Duration
	ctx   context.Context // of the call that is served: it ends pauses, never a command
	sent  uint64
}

var (
	errNoConnection = errors.New("not connected")
	errHangs        = errors.New("the TPM does not answer")
)

// Send implements [transport.TPM].
func (l *link) Send(cmd []byte) ([]byte, error) {
	pause, until := 2*time.Millisecond, time.Now().Add(patience)
	for {
		rsp, err := l.once(cmd)
		if err != nil || len(rsp) < headerSize {
			return rsp, err
		}
		code := tpm2.TPMRC(binary.BigEndian.Uint32(rsp[6:]))
		if code == tpm2.TPMRCSuccess || remedyOf(code) != resend {
			return rsp, nil
		}
		if code == tpm2.TPMRCTesting {
			until = until.Add(selfTest)
		}
		if time.Now().Add(pause).After(until) || !l.rest(pause) {
			return rsp, nil
		}
		pause = min(2*pause, 250*time.Millisecond)
	}
}

// once sends a command and waits for its response. One that takes too long loses the
// connection.
func (l *link) once(cmd []byte) ([]byte, error) {
	if l.conn == nil {
		return nil, &lostError{errNoConnection}
	}
	l.sent++
	conn := l.conn
	watchdog := time.AfterFunc(l.limit, func() { conn.Close() })
	rsp, err := conn.Send(cmd)
	if !watchdog.Stop() {
		err = errHangs
	}
	if err != nil {
		l.close()
		return nil, &lostError{err}
	}
	return rsp, nil
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
		l.conn.Close()
		l.conn = nil
	}
}
