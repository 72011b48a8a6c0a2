package transport

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"strongroom.example/driver/tpm/internal/wire"
)

const maxResponse = 64 << 10

// A stream sends commands over a socket, on which the TPM responds in order. A response
// is valid until the next command.
type stream struct {
	net.Conn
	buf [4096]byte
}

// Send writes a command and reads the whole response.
func (s *stream) Send(command []byte) ([]byte, error) {
	if err := s.Post(command); err != nil {
		return nil, err
	}
	return s.Fetch()
}

// Post writes a command.
func (s *stream) Post(command []byte) error {
	_, err := s.Write(command)
	return err
}

// Fetch reads the whole response.
func (s *stream) Fetch() ([]byte, error) {
	n, err := io.ReadAtLeast(s, s.buf[:], wire.HeaderSize)
	if err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(s.buf[2:]))
	if size < wire.HeaderSize || size > maxResponse || n > size {
		return nil, fmt.Errorf("%w (a response of %d bytes)", wire.ErrResponse, uint32(size))
	}
	rsp := s.buf[:]
	if size > len(rsp) {
		rsp = append(make([]byte, 0, size), s.buf[:n]...)[:size]
	}
	_, err = io.ReadFull(s, rsp[n:size])
	return rsp[:size], err
}
