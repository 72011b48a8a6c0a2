package keystore

import (
	"bytes"
	"encoding/binary"
)

// A leaf in a segment is its difference from the one before it: records that are
// written together differ in a number, a time and little else, and a busy log is a
// third as long. The difference is the leaf's length, then steps until the leaf is
// that long. A step is three numbers and some bytes: so many bytes as in the former
// leaf, so many of its bytes left out, so many bytes that follow here. All numbers
// are varints, as in encoding/binary.

// maxStep is what a leaf may be longer in a segment than it is: its length and one
// step that has all of it.
const maxStep = 3 + 1 + 1 + 3

// appendDelta appends leaf as its difference from former.
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

// toComma is the length of b up to a comma. A leaf is a JSON object, so what
// differs is a field, and behind it the two go on alike.
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

// delta reads a leaf of at most limit bytes, given the one before it. r is bad if
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

// varint reads a number up to limit. It is 0, and r is bad, if there is none.
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
