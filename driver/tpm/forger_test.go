package tpm_test

import (
	"encoding/binary"

	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testtoken"
)

// A forger flips a bit in one byte of the next response to TPM2_HMAC.
type forger struct{ next int }

func (f *forger) config(s *testtoken.SWTPM) tpm.Config {
	return tpm.Config{Dial: func() (transport.TPMCloser, error) {
		c, err := s.Dial()
		return forged{c, f}, err
	}}
}

type forged struct {
	testtoken.Conn
	by *forger
}

func (c forged) Send(command []byte) ([]byte, error) {
	rsp, err := c.Conn.Send(command)
	if at := c.by.next; at > 0 && err == nil && binary.BigEndian.Uint32(command[6:]) == hmacCommand {
		rsp[at] ^= 1
		c.by.next = 0
	}
	return rsp, err
}
