package fields_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"strongroom.example/keystore/internal/fields"
)

// TestReader reads one field of each kind, and then checks that no shorter input has them all.
func TestReader(t *testing.T) {
	hashes := [][32]byte{{1}, {2}}
	whole := binary.BigEndian.AppendUint32([]byte("ab"), 7)
	whole = binary.AppendUvarint(whole, 300)
	whole = append(whole, 0, 4, 't', 'e', 'x', 't', 1, 'f', 'g')
	whole = fields.AppendHashes(whole, hashes)
	read := func(b []byte) fields.Reader {
		r := fields.NewReader(b)
		dst := [2]byte{}
		front, n, v, text, flag := r.Bytes(2, 2), r.Uint(4), r.Varint(300), r.Text(4), r.Flag()
		r.Fill(dst[:])
		all := r.Hashes()
		if r.Bad() {
			return r
		}
		if string(front) != "ab" || n != 7 || v != 300 || text != "text" || !flag || string(dst[:]) != "fg" || !slices.Equal(all, hashes) {
			t.Errorf("read %q, %d, %d, %q, %v, %q, %x", front, n, v, text, flag, dst, all)
		}
		return r
	}
	if r := read(whole); !r.Done() {
		t.Errorf("the whole input: bad %v, %d bytes left, want none", r.Bad(), len(r.Rest()))
	}
	if r := read(append(bytes.Clone(whole), 9)); r.Bad() || r.Done() || !bytes.Equal(r.Rest(), []byte{9}) {
		t.Errorf("one byte more: bad %v, done %v, left %x, want the byte left", r.Bad(), r.Done(), r.Rest())
	}
	for n := range whole {
		if r := read(whole[:n]); !r.Bad() || r.Done() {
			t.Errorf("the first %d bytes of %d are read as the whole", n, len(whole))
		}
	}
}

// TestLimits checks that a field above its limit is a fault, and that nothing is read after it.
func TestLimits(t *testing.T) {
	for name, read := range map[string]func(r *fields.Reader){
		"Bytes":    func(r *fields.Reader) { r.Bytes(3, 2) },
		"negative": func(r *fields.Reader) { r.Bytes(-1, 2) },
		"Varint":   func(r *fields.Reader) { r.Varint(1) },
		"no limit": func(r *fields.Reader) { r.Varint(-1) },
		"Text":     func(r *fields.Reader) { r.Text(1) },
		"Hashes":   func(r *fields.Reader) { r.Hashes() },
		"Flag":     func(r *fields.Reader) { r.Flag() },
	} {
		r := fields.NewReader(bytes.Repeat([]byte{fields.MaxHashes + 1}, 600*fields.MaxHashes))
		read(&r)
		if left := len(r.Rest()); !r.Bad() || r.Bytes(1, 1) != nil || r.Uint(1) != 0 || len(r.Rest()) != left {
			t.Errorf("%s above the limit: bad %v, or something is read after it", name, r.Bad())
		}
	}
}
