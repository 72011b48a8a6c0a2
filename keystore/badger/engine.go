package badger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"

	"strongroom.example/keystore"
	"strongroom.example/keystore/internal/osfile"
)

// engine is a keystore.Engine over a redo log, a memtable and Badger's tables.
type engine struct {
	dir  string
	mac  macFunc
	lock *os.File // the directory, locked

	commit   sync.Mutex // one writer at a time; guards what follows
	epoch    *epochLog
	log      *redoSegment // the segment that is written
	other    *redoSegment // the one before it, or the next
	flushing chan error   // ends the flush under way
	turning  bool         // a turn of the log has begun and must end before the next batch
	failed   error        // the redo log failed: nothing more is written

	nextID uint64  // of the next table; the flush's
	made   *sorted // the table of the full memtable, until it is listed; the flush's

	files   sync.Mutex // held while the list of tables and the view differ
	doubted bool       // the list of tables may be another one than the view's

	mu   sync.RWMutex // guards view: held by readers, and for writing to replace it
	view view
	ts   atomic.Uint64 // the time of the newest batch that readers may see

	open   sync.RWMutex // held for reading by every call, for writing by Close
	closed bool
}

// view is what readers look into, from the newest to the oldest.
type view struct {
	mem    *memtable // takes the next batches
	full   *memtable // is being made a table; nil if none is
	tables tableSet
}

// MaxBatch is how many bytes of keys and values one batch may hold.
func (e *engine) MaxBatch() int { return maxBatch }

// usable is nil if the call may go on. The caller holds e.open.
func (e *engine) usable(ctx context.Context) error {
	if e.closed {
		return keystore.ErrClosed
	}
	return ctx.Err()
}

// show replaces what readers look into. It waits for those who are reading.
func (e *engine) show(change func(*view)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.view)
}

// fullMemtable is the memtable that is to become a table. Only a flush changes it.
func (e *engine) fullMemtable() *memtable {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.view.full
}

// tables are those that readers see. Only a flush changes them.
func (e *engine) tables() tableSet {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.view.tables
}

// Close waits for running calls and for a flush under way, and releases the store. It
// writes nothing that needs room on the disk: batches that are in no table stay in the
// redo log. An error means that the store was not marked as closed cleanly; no batch
// is lost by that. Repeats return nil.
func (e *engine) Close() error {
	e.open.Lock()
	defer e.open.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	if e.flushing != nil {
		<-e.flushing // one that failed is made again by the next Open
	}
	err := e.failed
	if err == nil {
		err = e.markClosed()
	}
	return errors.Join(err, e.release())
}

// markClosed puts the end of the redo log on record.
func (e *engine) markClosed() error {
	err := e.epoch.set(epochState{closed: true, epoch: e.log.head.epoch, seq: e.log.last, chain: e.log.chain})
	if err != nil {
		return fmt.Errorf("%w: the store could not be marked as closed; every batch is in the redo log: %w", keystore.ErrUnavailable, err)
	}
	return nil
}

// release closes all files. It may be called on an engine that is half open.
func (e *engine) release() error {
	e.view.tables.close()
	if e.made != nil {
		e.made.close()
	}
	e.view = view{}
	return errors.Join(e.epoch.close(), e.log.close(), e.other.close(), osfile.UnlockDirectory(e.lock), e.lock.Close())
}

// fault says what failed. A disk without space or inodes, or a quota that is used up,
// is ErrFull.
func fault(doing string, err error) error {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		if errors.Is(err, full) {
			return fmt.Errorf("%w: keystore/badger: %s: %w", keystore.ErrFull, doing, err)
		}
	}
	return fmt.Errorf("keystore/badger: %s: %w", doing, err)
}

// guarded runs f, which reads tables. A panic of Badger's, or a fault in a map, is
// ErrCorrupt.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("%w: a table of the store cannot be read", keystore.ErrCorrupt)
		}
	}()
	return f()
}
