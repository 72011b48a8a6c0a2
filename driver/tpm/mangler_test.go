package tpm_test

import (
	"bytes"
	"encoding/binary"
	"sync"

	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testtoken"
)

// A mangler corrupts responses in transit. The TPM has executed the command.
type mangler struct {
	mu      sync.Mutex
	command uint32
	change  func(rsp []byte) []byte // nil: nothing is changed
}

// spoil changes the next successful response to a command code. If change leaves a
// response as it is, the mangler waits for the next one.
func (m *mangler) spoil(command uint32, change func(rsp []byte) []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.command, m.change = command, change
}

// config returns the Config for a TPM behind the mangler.
func (m *mangler) config(s *testtoken.SWTPM) tpm.Config {
	return tpm.Config{Dial: func() (transport.TPMCloser, error) {
		c, err := s.Dial()
		return &mangled{Conn: c, by: m}, err
	}}
}

// pass returns the response as the driver receives it.
func (m *mangler) pass(command uint32, rsp []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.change == nil || m.command != command || len(rsp) < 10 || binary.BigEndian.Uint32(rsp[6:]) != 0 {
		return rsp
	}
	spoilt := m.change(bytes.Clone(rsp))
	if !bytes.Equal(spoilt, rsp) {
		m.change = nil
	}
	return spoilt
}

type mangled struct {
	testtoken.Conn
	by     *mangler
	posted uint32
}

func (c *mangled) Post(command []byte) error {
	c.posted = binary.BigEndian.Uint32(command[6:])
	return c.Conn.Post(command)
}

func (c *mangled) Fetch() ([]byte, error) {
	rsp, err := c.Conn.Fetch()
	if err != nil {
		return nil, err
	}
	return c.by.pass(c.posted, rsp), nil
}

// resized returns a response of another length, which its header states.
func resized(rsp []byte, length int) []byte {
	rsp = append(rsp, make([]byte, max(0, length-len(rsp)))...)[:length]
	binary.BigEndian.PutUint32(rsp[2:], uint32(length))
	return rsp
}
