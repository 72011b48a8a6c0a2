package badger

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"strongroom.example/keystore"
)

// recover brings back the batches that are in no table. at is the newest batch that is.
func (e *engine) recover(at position) error {
	if err := e.openLog(); err != nil {
		return err
	}
	if e.log.head.epoch != e.epoch.state.epoch || !e.log.valid {
		e.log, e.other = e.other, e.log
	}
	if !e.log.valid || e.log.head.epoch != e.epoch.state.epoch {
		return e.rolledBack("is missing, damaged or older than the store")
	}
	if err := e.checkOther(); err != nil {
		return err
	}
	if err := e.replay(at); err != nil {
		return err
	}
	if err := e.log.ready(); err != nil {
		return fault("open the redo log", err)
	}
	return e.markOpen()
}

// openLog opens the files of the log that are there and reads their headers.
func (e *engine) openLog() (err error) {
	if e.log, err = openRedoSegment(e.dir, segmentNames[0], e.mac, false); err != nil {
		return err
	}
	if e.other, err = openRedoSegment(e.dir, segmentNames[1], e.mac, false); err != nil {
		return err
	}
	return errors.Join(e.log.readHead(), e.other.readHead())
}

// replay fills the memtables from the log. The batches in the segment before the newest
// one become a table, unless they are in one.
func (e *engine) replay(at position) error {
	e.view.mem = newMemtable()
	if at.seq < e.log.head.before.seq {
		if err := e.replayOther(at); err != nil {
			return err
		}
		e.setMemtableAside(e.log.head.before.encode())
	}
	known := e.endedAt(e.log.last, e.log.chain)
	err := e.log.each(math.MaxUint64, func(r entry) error {
		known = known || e.endedAt(r.at.seq, r.chain)
		return e.replayRecord(at, r)
	})
	if err != nil {
		return err
	}
	return e.checkNotOlder(at, known)
}

// replayOther replays the segment before the newest one, up to where that begins.
func (e *engine) replayOther(at position) error {
	before := e.log.head.before
	if !e.other.valid || e.other.head.epoch != before.epoch || e.other.head.before.seq > at.seq {
		return e.rolledBack("lacks a segment, or the tables are older than it")
	}
	err := e.other.each(before.seq, func(r entry) error { return e.replayRecord(at, r) })
	if err == nil && (e.other.last != before.seq || e.other.chain != e.log.head.chain) {
		err = e.rolledBack("lacks a part of a segment")
	}
	return err
}

// replayRecord adds a record to the memtable unless the tables have it.
func (e *engine) replayRecord(at position, r entry) error {
	if r.at.seq <= at.seq {
		return nil
	}
	if !e.view.mem.takes(r.batch) {
		return fmt.Errorf("%w: the redo log in %s holds more than a memtable", keystore.ErrCorrupt, e.dir)
	}
	ts := e.ts.Load() + 1
	e.view.mem.add(ts, r.batch)
	e.ts.Store(ts)
	return nil
}

// markOpen puts on record, durably and before the first batch, that the store is open
// and where the log ended by then.
func (e *engine) markOpen() error {
	if err := e.epoch.set(e.openState()); err != nil {
		return fault("mark the store as open", err)
	}
	return nil
}

func (e *engine) openState() epochState {
	return epochState{epoch: e.log.head.epoch, seq: e.log.last, chain: e.log.chain}
}

// begin makes the redo log of a new store, or of one that had a log of format 1 and has
// all of it in its tables. old tells that the tables' position is of format 1, or absent.
func (e *engine) begin(at position, old bool) (err error) {
	if err := e.openLog(); err != nil {
		return err
	}
	// A store that had an epoch has lost it by no crash. The header alone is what a
	// crash in the middle of this function leaves.
	empty := true
	if e.log.valid {
		empty = e.log.last == at.seq
		if err := e.log.each(math.MaxUint64, func(entry) error { empty = false; return nil }); err != nil {
			return err
		}
	}
	if !old || !empty || e.other.file != nil {
		return fmt.Errorf("%w: %s is missing: whether the redo log is the newest cannot be told; put back the newest copy of the whole directory",
			keystore.ErrRolledBack, filepath.Join(e.dir, epochFile))
	}
	if err := e.log.begin(e.dir, segmentHead{epoch: newEpoch(), before: at}); err != nil {
		return fault("make the redo log", err)
	}
	if _, err := writeManifest(e.dir, e.view.tables); err != nil {
		return err
	}
	e.view.mem = newMemtable()
	if err := e.epoch.create(e.dir, e.openState()); err != nil {
		return fault("make the epoch", err)
	}
	return nil
}
