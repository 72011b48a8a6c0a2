package tpm

import (
	"encoding/binary"

	"github.com/google/go-tpm/tpm2"
)

// appendSized appends a TPM2B: a two-byte length, then the bytes.
func appendSized(b, value []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

// sizedAll returns some TPM2Bs, one after the other, in a slice of exactly that capacity,
// because a slice that grows leaves copies of secrets behind.
func sizedAll(values ...[]byte) []byte {
	n := 0
	for _, v := range values {
		n += 2 + len(v)
	}
	b := make([]byte, 0, n)
	for _, v := range values {
		b = appendSized(b, v)
	}
	return b
}

// A reader parses a response. After the first missing field it stays bad, and all further
// fields are empty.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) bytes(n int) []byte {
	if r.bad || n < 0 || n > len(r.rest) { // n is negative if a u32 overflows a 32-bit int
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) u8() uint8 {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// sized reads a TPM2B.
func (r *reader) sized() []byte { return r.bytes(int(r.u16())) }

// done returns an error unless all fields were present and no bytes are left.
func (r *reader) done() error {
	if r.bad || len(r.rest) != 0 {
		return errResponse
	}
	return nil
}

func handleBytes(h tpm2.TPMHandle) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(h))
}
