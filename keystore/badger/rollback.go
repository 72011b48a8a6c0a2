package badger

import (
	"fmt"
	"math"

	"strongroom.example/keystore"
)

// rolledBack returns ErrRolledBack for a redo log that is older than the rest of the store, or
// newer, because a part of the directory was replaced by a copy.
func (e *engine) rolledBack(what string) error {
	return fmt.Errorf("%w: the redo log in %s %s; put back the newest copy of the whole directory", keystore.ErrRolledBack, e.dir, what)
}

// checkOther returns ErrRolledBack if the other segment follows the one that the epoch names
// and holds a batch: no batch goes into a segment before the epoch names it.
func (e *engine) checkOther() error {
	if !e.other.valid || e.other.head.before.epoch != e.log.head.epoch {
		return nil
	}
	probe := *e.other
	return probe.each(math.MaxUint64, func(entry) error { return e.rolledBack("is newer than the rest of the store") })
}

// endedAt reports whether the redo log ended with this record when the store was opened or closed
// last.
func (e *engine) endedAt(seq uint64, chain [macSize]byte) bool {
	was := e.epoch.state
	return seq == was.seq && chain == was.chain
}

// checkNotOlder returns ErrRolledBack if the redo log is older than what Open or Close left. at is
// the newest batch in the tables, and known reports whether the log has the record for which
// endedAt is true. A log that Close left has no record behind that one.
func (e *engine) checkNotOlder(at position, known bool) error {
	was := e.epoch.state
	switch {
	case !known || was.closed && e.log.last != was.seq:
		return e.rolledBack("does not hold what it held when the store was opened or closed last")
	case at.seq > e.log.last:
		return e.rolledBack("ends before what the tables hold")
	}
	return nil
}
