package ordered

import (
	"encoding/binary"
	"iter"
)

// A Mark tells an element of a source from others.
type Mark = [16]byte

// A Position says how far a source was processed: the number of elements that are done, and
// the mark of the last of them.
type Position struct {
	Done uint64
	Last Mark
}

// Encode returns the bytes of the position.
func (p Position) Encode() []byte {
	return append(binary.BigEndian.AppendUint64(nil, p.Done), p.Last[:]...)
}

// ParsePosition reads the bytes of Encode. It returns false for others.
func ParsePosition(b []byte) (p Position, ok bool) {
	if len(b) != 8+len(p.Last) {
		return p, false
	}
	return Position{binary.BigEndian.Uint64(b), Mark(b[8:])}, true
}

// Behind returns the elements of source that are behind the position. It yields the error
// other, and ends, if the element at the position has another mark, or if there is none.
func Behind[In any](p Position, source iter.Seq2[In, error], mark func(In) Mark, other error) iter.Seq2[In, error] {
	return func(yield func(In, error) bool) {
		var none In
		n := uint64(0)
		for in, err := range source {
			if n++; err == nil && n <= p.Done {
				if n == p.Done && mark(in) != p.Last {
					yield(none, other)
					return
				}
				continue
			}
			if !yield(in, err) || err != nil {
				return
			}
		}
		if n < p.Done {
			yield(none, other)
		}
	}
}
