package badger

import (
	"context"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// patience is how long a reader waits for Badger once it has failed.
const patience = time.Second

// view opens a transaction for a reader. Badger makes him wait for the transaction
// that is under way, and for ever if that one cannot end, as when a flush fails. So
// he waits in another goroutine, which he leaves behind when his context ends or
// Badger has failed, and holds no lock that a commit needs.
func (e *engine) view(ctx context.Context) (*badger.Txn, error) {
	if txn := e.viewAtOnce(); txn != nil {
		return txn, nil
	}
	if e.stuck.Load() {
		return nil, e.watch.err()
	}
	opened, gone := make(chan *badger.Txn), make(chan struct{})
	defer close(gone)
	e.views.Go(func() {
		txn := e.db.NewTransaction(false)
		select {
		case opened <- txn:
		case <-gone:
			txn.Discard()
		}
	})
	select {
	case txn := <-opened:
		return txn, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-e.watch.tripped: // most faults leave reading as it was
	}
	select {
	case txn := <-opened:
		return txn, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(patience):
		e.stuck.Store(true)
		return nil, e.watch.err()
	}
}

// viewAtOnce is nil if batches are on their way to Badger. None sets out meanwhile.
func (e *engine) viewAtOnce() *badger.Txn {
	e.over.mu.RLock()
	defer e.over.mu.RUnlock()
	if len(e.over.leaving) > 0 {
		return nil
	}
	return e.db.NewTransaction(false)
}

// viewUnder opens a transaction and copies what lies over it at the keys with a
// prefix, both of one moment: a batch that set out for Badger between the two could
// show in part.
func (e *engine) viewUnder(ctx context.Context, prefix []byte) (*badger.Txn, map[string][]byte, error) {
	for {
		over, sent := e.over.within(prefix)
		txn, err := e.view(ctx)
		if err != nil {
			return nil, nil, err
		}
		if e.over.departures() == sent {
			return txn, over, nil
		}
		txn.Discard()
	}
}
