package badger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"strongroom.example/keystore"
)

// positionKey holds the position of the newest batch in Badger. Callers cannot
// reach it. It stands behind their keys, where a table that begins late in the
// order, as those of a growing log do, meets few others when it is merged.
const positionKey = "~redo"

// position is a place in the sequence of batches. The sequence goes on for as long
// as the store lives; the epoch is random and anew with each run through the log.
type position struct{ epoch, seq uint64 }

func (p position) encode() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, p.epoch), p.seq)
}

// position is that of the newest batch in Badger, zero in an empty one.
func (e *engine) position() (position, error) {
	txn := e.db.NewTransaction(false)
	defer txn.Discard()
	value, err := get(txn, []byte(positionKey))
	if errors.Is(err, keystore.ErrNotFound) {
		return position{}, nil
	}
	if err == nil && len(value) != 16 {
		err = fmt.Errorf("%w: the engine's own position has %d bytes", keystore.ErrCorrupt, len(value))
	}
	if err != nil {
		return position{}, err
	}
	return position{binary.BigEndian.Uint64(value), binary.BigEndian.Uint64(value[8:])}, nil
}
