// Package segment packs consecutive leaves of the audit log into audit segments, each of which
// the store seals as one record. The segments of the engine's redo log are files, and have
// nothing to do with these. docs/formats.md specifies the bytes.
package segment

import (
	"bytes"
	"encoding/binary"

	"strongroom.example/keystore/internal/fields"
)

// A segment holds one leaf of any size, or several leaves of at most maxSegment bytes
// together, counting perLeaf bytes extra for each. Its encoding is also at most that
// long, which matters because the differences of leaves of one or two bytes are longer
// than the leaves.
const (
	// MaxLeaf is the length of the longest leaf, in bytes. It is the largest value of a record.
	MaxLeaf    = 32 << 10
	perLeaf    = 2
	maxSegment = perLeaf + MaxLeaf
)

// Append appends as many leaves as fit in one segment, at least one, and returns their
// number.
func Append(dst []byte, leaves [][]byte) ([]byte, int) {
	var former []byte
	start, size := len(dst), 0
	for i, leaf := range leaves {
		before := len(dst)
		size += perLeaf + len(leaf)
		dst = appendDelta(dst, former, leaf)
		if i > 0 && max(size, len(dst)-start) > maxSegment {
			return dst[:before], i
		}
		former = leaf
	}
	return dst, len(leaves)
}

// Parse splits a segment into its n leaves. It returns false if the segment is malformed.
func Parse(b []byte, n uint64) ([][]byte, bool) {
	if n > maxSegment/perLeaf {
		return nil, false
	}
	var former []byte
	in, leaves := fields.NewReader(b), make([][]byte, n)
	room := maxSegment
	for i := range leaves {
		former = readDelta(&in, former, room-perLeaf)
		leaves[i], room = former, room-perLeaf-len(former)
	}
	return leaves, in.Done()
}

// A leaf in a segment is stored as its difference from the leaf before it. Records that
// are written together differ in little more than a number and a time, so a busy log
// takes a third of the space. The difference is the leaf's length followed by steps until
// the leaf has that length. A step is three numbers and some bytes: the number of bytes
// to copy from the former leaf, the number of its bytes to skip, and the number of new
// bytes, which follow. All numbers are varints as in encoding/binary.

// MaxStep is the largest number of bytes that a leaf may take in a segment beyond its own
// length: the length field and one step that contains the whole leaf.
const MaxStep = 3 + 1 + 1 + 3

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

// readDelta reads a leaf of at most limit bytes, given the leaf before it.
func readDelta(r *fields.Reader, former []byte, limit int) []byte {
	size := r.Varint(limit)
	leaf := make([]byte, 0, size)
	for !r.Bad() && len(leaf) < size {
		same := r.Varint(min(len(former), size-len(leaf)))
		leaf, former = append(leaf, former[:same]...), former[same:]
		former = former[r.Varint(len(former)):]
		take := size - len(leaf)
		leaf = append(leaf, r.Bytes(r.Varint(take), take)...)
	}
	return leaf
}
