// Package fields reads and appends the fields of the store's binary formats.
package fields

import "encoding/binary"

// A Reader consumes fields from the front of its input. After the first fault it returns
// zero values only, and Bad returns true.
type Reader struct {
	b   []byte
	bad bool
}

// NewReader returns a Reader of b. Its results share the memory of b.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Bytes reads n bytes. A number above limit is a fault.
func (r *Reader) Bytes(n, limit int) []byte {
	if n < 0 || n > limit || n > len(r.b) {
		r.bad = true
	}
	if r.bad {
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

// Uint reads a big-endian number of size bytes, at most 8.
func (r *Reader) Uint(size int) uint64 {
	var n uint64
	for _, c := range r.Bytes(size, 8) {
		n = n<<8 | uint64(c)
	}
	return n
}

// Varint reads a number as in encoding/binary. A number above limit is a fault.
func (r *Reader) Varint(limit int) int {
	n, used := binary.Uvarint(r.b)
	if used <= 0 || limit < 0 || n > uint64(limit) {
		r.bad = true
	}
	if r.bad {
		return 0
	}
	r.b = r.b[used:]
	return int(n)
}

// Text reads a text after its length in two bytes. A length above limit is a fault.
func (r *Reader) Text(limit int) string { return string(r.Bytes(int(r.Uint(2)), limit)) }

// Fill reads as many bytes as dst has.
func (r *Reader) Fill(dst []byte) { copy(dst, r.Bytes(len(dst), len(dst))) }

// MaxHashes is the largest number of hashes in the frontier of a tree: one for each bit of the
// tree's size.
const MaxHashes = 64

// Hashes reads what AppendHashes appended. A number above MaxHashes is a fault.
func (r *Reader) Hashes() (hashes [][32]byte) {
	n := r.Uint(1)
	if n > MaxHashes {
		r.bad = true
	}
	for range n {
		var hash [32]byte
		if r.Fill(hash[:]); r.bad {
			return nil
		}
		hashes = append(hashes, hash)
	}
	return hashes
}

// Flag reads a byte that is 0 or 1.
func (r *Reader) Flag() bool {
	n := r.Uint(1)
	if n > 1 {
		r.bad = true
	}
	return n == 1
}

// Bad reports whether there was a fault.
func (r *Reader) Bad() bool { return r.bad }

// Rest returns the bytes that are not yet read.
func (r *Reader) Rest() []byte { return r.b }

// Done reports whether all bytes were read without a fault.
func (r *Reader) Done() bool { return !r.bad && len(r.b) == 0 }

// AppendHashes appends the number of hashes, at most MaxHashes, and the hashes.
func AppendHashes(dst []byte, hashes [][32]byte) []byte {
	dst = append(dst, byte(len(hashes)))
	for _, hash := range hashes {
		dst = append(dst, hash[:]...)
	}
	return dst
}
