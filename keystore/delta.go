package keystore

import (
	"bytes"
	"encoding/binary"
)

// A leaf in a segment is stored as its difference from the leaf before it. Records that
// are written together differ in little more than a number and a time, so a busy log
// takes a third of the space. The difference is the leaf's length followed by steps until
// the leaf has that length. A step is three numbers and some bytes: the number of bytes
// to copy from the former leaf, the number of its bytes to skip, and the number of new
// bytes, which follow. All numbers are varints as in encoding/binary.

// maxStep is the largest number of bytes that a leaf may take in a segment beyond its own
// length: the length field and one step that contains the whole leaf.
const maxStep = 3 + 1 + 1 + 3

// appendDelta appends leaf as its difference from the leaf before it.
func appendDelta(dst, former, leaf []byte) []byte {
	start, all := len(dst), leaf
	dst = binary.AppendUvarint(dst, uint64(len(leaf)))
	for len(leaf) > 0 {
		same := commonPrefix(former, leaf)
		former, leaf = former[same:], leaf[same:]
		skip, take := toComma(former), toComma(leaf)
		if len(former) == 0 {
			take = len(leaf)
		}
		dst = appendStep(dst, same, skip, leaf[:take])
		former, leaf = former[skip:], leaf[take:]
		if len(dst)-start > len(all) {
			dst = binary.AppendUvarint(dst[:start], uint64(len(all)))
			return appendStep(dst, 0, 0, all)
		}
	}
	return dst
}

func appendStep(dst []byte, same, skip int, take []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(same))
	dst = binary.AppendUvarint(dst, uint64(skip))
	dst = binary.AppendUvarint(dst, uint64(len(take)))
	return append(dst, take...)
}

// toComma returns the length of b up to its first comma, or of all of b. A leaf is a JSON
// object, so a difference usually ends with a field, and both leaves continue alike after
// it.
func toComma(b []byte) int {
	if i := bytes.IndexByte(b, ','); i >= 0 {
		return i
	}
	return len(b)
}

func commonPrefix(a, b []byte) int {
	n := 0
	for len(a)-n >= 8 && len(b)-n >= 8 && binary.NativeEndian.Uint64(a[n:]) == binary.NativeEndian.Uint64(b[n:]) {
		n += 8
	}
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// delta reads a leaf of at most limit bytes, given the leaf before it. It sets r.bad if
// there is none.
func (r *reader) delta(former []byte, limit int) []byte {
	size := r.varint(limit)
	leaf := make([]byte, 0, size)
	for !r.bad && len(leaf) < size {
		same := r.varint(min(len(former), size-len(leaf)))
		leaf, former = append(leaf, former[:same]...), former[same:]
		former = former[r.varint(len(former)):]
		take := size - len(leaf)
		leaf = append(leaf, r.bytes(r.varint(take), take)...)
	}
	return leaf
}

// varint reads a number of at most limit. If there is none it returns 0 and sets r.bad.
func (r *reader) varint(limit int) int {
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
