package badger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"strongroom.example/keystore"
)

// engine is a keystore.Engine over one open Badger.
type engine struct {
	dir   string
	db    *badger.DB
	watch *watch
	log   *redo
	guard *guard
	free  func(dir string) (uint64, error)
	over  overlay

	commit  sync.Mutex   // one writer at a time: expectations hold until it committed
	handing chan error   // ends the handing over that is under way; the writer's
	open    sync.RWMutex // held for reading by every call, for writing by Close
	closed  bool         // no further calls
	done    bool         // db was closed, or given up

	views sync.WaitGroup // transactions that readers wait for, or did until they went
	stuck atomic.Bool    // Badger has failed, and readers wait in vain
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

// Intact is ErrReplaced if a file that the store relies on has lost its name. The file is
// written again under it; one that stands there instead is set aside.
func (e *engine) Intact() error {
	e.open.RLock()
	defer e.open.RUnlock()
	if e.closed {
		return nil
	}
	return e.guard.look(e.db)
}

// Close waits for running calls, then flushes and releases the store. While the
// disk has no room it answers ErrFull and leaves the files alone, since Badger's
// flush would kill the process: no batch is lost, for each is in the log, no other
// call is served any more, and Close may be called again once there is room. Other
// repeats answer nil, also after a Close that failed.
func (e *engine) Close() error {
	e.open.Lock()
	defer e.open.Unlock()
	e.closed = true
	if e.done {
		return nil
	}
	_ = e.handed() // a fault stops nobody from closing
	if err := e.room(openReserve); err != nil {
		return err
	}
	e.done = true
	e.guard.prepareClose()
	return errors.Join(e.closeDB(), e.guard.end())
}

// closeDB closes Badger, and gives it up a while after it has failed: a flush that
// fails is tried for ever. No batch depends on it, but Badger's lock does: until the
// flush succeeds or the process ends, the next Open is ErrInUse.
func (e *engine) closeDB() error {
	defer e.log.close()
	if e.watch.err() == nil {
		_ = e.handAll(e.log.last) // if it fails, the watch has it
	}
	ended := make(chan error, 1)
	go func() { ended <- e.endBadger() }()
	select {
	case err := <-ended:
		return e.outcome(err)
	case <-e.watch.tripped:
	}
	select {
	case err := <-ended:
		return e.outcome(err)
	case <-time.After(giveUp):
		return e.watch.err()
	}
}

// endBadger closes Badger once nothing is handed to it any more, nor asked of it: it
// would panic over a transaction that it meets at its end.
func (e *engine) endBadger() error {
	if e.handing != nil {
		<-e.handing
	}
	e.views.Wait()
	return e.db.Close()
}

// giveUp is how long Close waits for a Badger that has failed.
const giveUp = 5 * time.Second

// outcome is what Close answers for what Badger's Close answered. Only a clean one
// clears the redo log.
func (e *engine) outcome(err error) error {
	if err == nil && e.watch.err() == nil {
		err = errors.Join(syncDir(e.dir), e.log.clear())
	}
	if err != nil {
		return fmt.Errorf("%w: badger did not close cleanly; every batch is in the redo log", keystore.ErrUnavailable)
	}
	return e.watch.err()
}
