package keystore

import (
	"encoding/binary"
	"fmt"
)

// A segment holds one leaf of any size, or several leaves of at most maxSegment bytes
// together, counting perLeaf bytes extra for each. Its encoding is also at most that
// long, which matters because the differences of leaves of one or two bytes are longer
// than the leaves.
const (
	perLeaf    = 2
	maxSegment = perLeaf + MaxValue
)

// appendSegment appends as many leaves as fit in one segment, at least one, and returns
// their number.
func appendSegment(dst []byte, leaves [][]byte) ([]byte, int) {
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

// parseSegment splits a segment into its n leaves. It returns false if the segment is
// malformed.
func parseSegment(b []byte, n uint64) ([][]byte, bool) {
	if n > maxSegment/perLeaf {
		return nil, false
	}
	var former []byte
	in, leaves := reader{b: b}, make([][]byte, n)
	room := maxSegment
	for i := range leaves {
		former = in.delta(former, room-perLeaf)
		leaves[i], room = former, room-perLeaf-len(former)
	}
	return leaves, !in.bad && len(in.b) == 0
}

// logKey returns the engine key of the segment whose last leaf is seq. A scan that begins
// after logKey(seq-1) therefore finds the segment that holds seq.
func logKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 9), prefixLog), seq)
}

// openSegment returns the leaves of a segment starting with number from. The segment must
// contain that leaf, and must begin with it unless loose is set. Otherwise the error is
// ErrCorrupt.
func (s *sealer) openSegment(k *keyring, p Pair, from uint64, loose bool) ([][]byte, error) {
	if len(p.Key) != 9 {
		return nil, fmt.Errorf("%w: audit record %d: engine key %x", ErrCorrupt, from, p.Key)
	}
	last := binary.BigEndian.Uint64(p.Key[1:])
	id, _, plain, err := s.open(k, p.Key, p.Value)
	if err != nil || id.class != classLog || id.version > last {
		return nil, fmt.Errorf("%w: audit record %d does not open", ErrCorrupt, from)
	}
	if id.version > from || last < from || id.version < from && !loose {
		return nil, fmt.Errorf("%w: audit record %d is missing", ErrCorrupt, from)
	}
	leaves, ok := parseSegment(plain, last-id.version+1)
	if !ok {
		return nil, fmt.Errorf("%w: audit record %d does not open", ErrCorrupt, from)
	}
	return leaves[from-id.version:], nil
}
