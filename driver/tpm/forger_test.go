package tpm_test

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testtoken"
)

// A forger flips a bit in one byte of the next response to TPM2_HMAC.
type forger struct{ next atomic.Int64 }

func (f *forger) config(s *testtoken.SWTPM) tpm.Config {
	return tpm.Config{Dial: func() (transport.TPMCloser, error) {
		c, err := s.Dial()
		return &forged{Conn: c, by: f}, err
	}}
}

type forged struct {
	testtoken.Conn
	by     *forger
	posted uint32
}

func (c *forged) Post(command []byte) error {
	c.posted = binary.BigEndian.Uint32(command[6:])
	return c.Conn.Post(command)
}

func (c *forged) Fetch() ([]byte, error) {
	rsp, err := c.Conn.Fetch()
	if at := c.by.next.Load(); at > 0 && err == nil && c.posted == hmacCommand {
		rsp[at] ^= 1
		c.by.next.Store(0)
	}
	return rsp, err
}
