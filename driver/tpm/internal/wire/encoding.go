package wire

import (
	"encoding/binary"

	"github.com/google/go-tpm/tpm2"
)

// AppendSized appends a TPM2B: a two-byte length, then the bytes.
func AppendSized(b, value []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

// ConcatSized returns some TPM2Bs, one after the other, in a slice of exactly that capacity,
// because a slice that grows leaves copies of secrets behind.
func ConcatSized(values ...[]byte) []byte {
	n := 0
	for _, v := range values {
		n += 2 + len(v)
	}
	b := make([]byte, 0, n)
	for _, v := range values {
		b = AppendSized(b, v)
	}
	return b
}

// A Reader parses a response. After the first missing field it stays bad, and all further
// fields are empty.
type Reader struct {
	Rest []byte
	Bad  bool
}

// Bytes reads n bytes. The result shares memory with Rest.
func (r *Reader) Bytes(n int) []byte {
	if r.Bad || n < 0 || n > len(r.Rest) { // n is negative if a u32 overflows a 32-bit int
		r.Bad = true
		return nil
	}
	b := r.Rest[:n]
	r.Rest = r.Rest[n:]
	return b
}

// U8 reads one byte.
func (r *Reader) U8() uint8 {
	if b := r.Bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// U16 reads two bytes.
func (r *Reader) U16() uint16 {
	if b := r.Bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// U32 reads four bytes.
func (r *Reader) U32() uint32 {
	if b := r.Bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Sized reads a TPM2B.
func (r *Reader) Sized() []byte { return r.Bytes(int(r.U16())) }

// Done returns an error unless all fields were present and no bytes are left.
func (r *Reader) Done() error {
	if r.Bad || len(r.Rest) != 0 {
		return ErrResponse
	}
	return nil
}

// HandleBytes returns a handle as a parameter.
func HandleBytes(h tpm2.TPMHandle) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(h))
}
