package testtoken

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"
)

// A Conn sends commands to a TPM; it implements go-tpm's TPMCloser. Send is Post followed
// by Fetch. A response is valid until the next Fetch.
type Conn interface {
	Send(command []byte) ([]byte, error)
	Post(command []byte) error
	Fetch() ([]byte, error)
	Close() error
}

const headerSize = 10

var errHeader = errors.New("testtoken: no TPM response")

// Dial connects to the TPM. The TPM serves the next client when this one has closed.
func (s *SWTPM) Dial() (Conn, error) {
	c, err := net.DialTimeout("unix", s.Socket(), time.Second)
	if err != nil {
		return nil, err
	}
	return &stream{Conn: c}, nil
}

// A stream is a connection to a TPM over a socket.
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
	n, err := io.ReadAtLeast(s, s.buf[:], headerSize)
	if err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(s.buf[2:])
	if int(size) < n || int(size) > len(s.buf) {
		return nil, errHeader
	}
	_, err = io.ReadFull(s, s.buf[n:size])
	return s.buf[:size], err
}

// responseCode returns the code of a response, or of a command.
func responseCode(message []byte) uint32 {
	if len(message) < headerSize {
		return 0
	}
	return binary.BigEndian.Uint32(message[6:])
}
