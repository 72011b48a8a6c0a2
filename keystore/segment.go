package keystore

import (
	"encoding/binary"
	"fmt"
)

// maxSegment bounds a segment: it holds one leaf of any size, or many.
const maxSegment = 2 + MaxValue

// appendSegment appends as many of the leaves as one segment holds, at least
// one, each behind its length, and tells how many.
func appendSegment(dst []byte, leaves [][]byte) ([]byte, int) {
	for i, leaf := range leaves {
		if i > 0 && len(dst)+2+len(leaf) > maxSegment {
			return dst, i
		}
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(leaf)))
		dst = append(dst, leaf...)
	}
	return dst, len(leaves)
}

// parseSegment takes a segment of n leaves apart.
func parseSegment(b []byte, n uint64) ([][]byte, bool) {
	if n > maxSegment/2 {
		return nil, false
	}
	in, leaves := reader{b: b}, make([][]byte, n)
	for i := range leaves {
		leaves[i] = in.bytes(int(in.uint(2)), MaxValue)
	}
	return leaves, !in.bad && len(in.b) == 0
}

// logKey is where the segment stands whose last leaf is seq. A scan that begins
// behind logKey(seq-1) therefore finds the segment that holds seq.
func logKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 9), prefixLog), seq)
}

// openSegment answers the leaves of a segment from number from on. The segment
// must hold it, and begin with it unless loose is set.
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
