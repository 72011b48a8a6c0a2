package badger

import (
	"encoding/binary"
	"fmt"

	"strongroom.example/keystore"
)

// positionKey holds the position of the newest batch that is in the tables. Callers
// cannot reach it. It stands behind their keys, where a table that begins late in the
// order, as those of a growing log do, meets few others when it is merged.
const positionKey = "~redo"

// positionFormat begins the value under positionKey. A value without it, 16 bytes long,
// is from a store whose redo log has format 1.
const positionFormat = 2

// position is a place in the sequence of batches. The sequence goes on for as long as
// the store lives. The epoch is that of a segment of the redo log: random, and new for
// each run through the file.
type position struct{ epoch, seq uint64 }

func (p position) encode() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte{positionFormat}, p.epoch), p.seq)
}

// parsePosition reads what the tables have under positionKey, nil if they have nothing.
// It reports whether the value is of format 1, or absent.
func parsePosition(value []byte) (p position, old bool, err error) {
	switch {
	case value == nil:
		return position{}, true, nil
	case len(value) == 16:
		old = true
	case len(value) == 17 && value[0] == positionFormat:
		value = value[1:]
	default:
		return position{}, false, fmt.Errorf("%w: the position in the tables has %d bytes", keystore.ErrCorrupt, len(value))
	}
	return position{binary.BigEndian.Uint64(value), binary.BigEndian.Uint64(value[8:])}, old, nil
}
