package stream

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"

	"strongroom.example/internal/suite"
)

// A Suite is the cipher suite of a stream.
type Suite uint8

// The suites.
const (
	// KeySuite selects the suite of the data key; see [SuitedKey].
	KeySuite Suite = 0
	// AES256GCM is AES-256-GCM with keys derived by HMAC-SHA-256.
	AES256GCM = Suite(suite.AES)
	// SM4GCM is SM4-GCM with keys derived by HMAC-SM3.
	SM4GCM = Suite(suite.SM)
	// AES128GCM is AES-128-GCM with keys derived by HMAC-SHA-256.
	AES128GCM Suite = 3
)

const (
	segmentLog2 = 16 // 64 KiB of plaintext in a segment
	saltSize    = 32
	name        = "SRS"
	suiteAt     = len(name) + 1 // after the format byte
	fixedSize   = suiteAt + 4
)

// A layout holds the parameters of a suite.
type layout struct {
	id       suite.ID
	keySize  int
	format   byte
	keyLabel string
}

var layouts = map[Suite]layout{
	AES256GCM: {suite.AES, 32, 1, "strongroom/stream v1"},
	SM4GCM:    {suite.SM, 16, 1, "strongroom/stream v1"},
	AES128GCM: {suite.AES, 16, 2, "strongroom/stream v2"},
}

// newHeader returns the encoded header of a new stream.
func newHeader(s Suite, log2 uint8, ciphertext []byte) ([]byte, error) {
	l, ok := layouts[s]
	if !ok || len(ciphertext) > 0xFFFF {
		return nil, fmt.Errorf("%w: suite %d, data key's ciphertext of %d bytes", ErrInvalid, s, len(ciphertext))
	}
	h := append([]byte(name), l.format, byte(s), log2)
	h = binary.BigEndian.AppendUint16(h, uint16(len(ciphertext)))
	h = append(h, ciphertext...)
	salt := make([]byte, saltSize)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	return append(h, salt...), nil
}

// readHeader reads a header from r and checks its form. It returns all its bytes, and the
// data key's ciphertext, which is a part of them.
func readHeader(r io.Reader, log2 uint8) (header, ciphertext []byte, err error) {
	header = make([]byte, fixedSize)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, nil, truncated(err)
	}
	l, ok := layouts[Suite(header[suiteAt])]
	if string(header[:len(name)]) != name || !ok || header[len(name)] != l.format || header[suiteAt+1] != log2 {
		return nil, nil, ErrStream
	}
	n := int(binary.BigEndian.Uint16(header[fixedSize-2:]))
	header = append(header, make([]byte, n+saltSize)...)
	if _, err := io.ReadFull(r, header[fixedSize:]); err != nil {
		return nil, nil, truncated(err)
	}
	return header, header[fixedSize : fixedSize+n], nil
}

// truncated turns the end of the input into ErrStream. It does not change an error of the
// reader that wraps io.EOF.
func truncated(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrStream
	}
	return err
}
