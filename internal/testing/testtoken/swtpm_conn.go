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

// DiscreteChip returns how long a command takes on a discrete chip. The values are
// medians that vendors and users have published for several chips. An unlisted command
// takes as long as a short command does on the bus.
func DiscreteChip(command uint32) time.Duration {
	times := map[uint32]time.Duration{
		0x131: 250 * time.Millisecond,  // CreatePrimary, ECC
		0x153: 2500 * time.Millisecond, // Create, RSA-2048
		0x154: 130 * time.Millisecond,  // ECDH_ZGen
		0x155: 15 * time.Millisecond,   // HMAC
		0x157: 60 * time.Millisecond,   // Load
		0x159: 160 * time.Millisecond,  // RSA_Decrypt
		0x15D: 70 * time.Millisecond,   // Sign
		0x161: 30 * time.Millisecond,   // ContextLoad
		0x162: 30 * time.Millisecond,   // ContextSave
		0x176: 130 * time.Millisecond,  // StartAuthSession, salted
	}
	if t, ok := times[command]; ok {
		return t
	}
	return 8 * time.Millisecond
}
