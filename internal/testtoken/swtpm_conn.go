package testtoken

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"
)

// A Conn carries commands to a TPM. It is what go-tpm calls a TPMCloser.
type Conn interface {
	Send(command []byte) ([]byte, error)
	Close() error
}

const headerSize = 10

var errHeader = errors.New("testtoken: no TPM response")

// Dial connects to the TPM. It serves the next client when this one has closed.
func (s *SWTPM) Dial() (Conn, error) {
	c, err := net.DialTimeout("unix", s.Socket(), time.Second)
	if err != nil {
		return nil, err
	}
	return &stream{c}, nil
}

// A stream is a TPM behind a socket.
type stream struct{ net.Conn }

// Send writes a command and reads the whole response.
func (s *stream) Send(command []byte) ([]byte, error) {
	if _, err := s.Write(command); err != nil {
		return nil, err
	}
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(s, header); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(header[2:])
	if size < headerSize || size > 1<<16 {
		return nil, errHeader
	}
	rsp := append(header, make([]byte, size-headerSize)...)
	_, err := io.ReadFull(s, rsp[headerSize:])
	return rsp, err
}

// responseCode returns the code of a response, or of a command.
func responseCode(message []byte) uint32 {
	if len(message) < headerSize {
		return 0
	}
	return binary.BigEndian.Uint32(message[6:])
}
