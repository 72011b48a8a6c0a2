package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	"strongroom.example/keystore"
)

// engine is a keystore.Engine over one open Badger.
type engine struct {
	dir   string
	db    *badger.DB
	watch *watch
	wal   *wal
	free  func(dir string) (uint64, error)

	commit sync.Mutex   // one writer at a time: expectations hold until it committed
	open   sync.RWMutex // held for reading by every call, for writing by Close
	closed bool         // no further calls
	done   bool         // db was closed, or given up
}

// MaxBatch is how many bytes of keys and values one batch may hold.
func (e *engine) MaxBatch() int { return maxBatch }

// Get answers a copy of the value under key. An empty value is ErrCorrupt: none
// is ever stored, and Badger answers one for some damage.
func (e *engine) Get(ctx context.Context, key []byte) ([]byte, error) {
	e.open.RLock()
	defer e.open.RUnlock()
	if err := e.usable(ctx); err != nil {
		return nil, err
	}
	txn := e.db.NewTransaction(false)
	defer txn.Discard()
	return get(txn, key)
}

// Scan answers up to limit pairs with prefix, after the key after.
func (e *engine) Scan(ctx context.Context, prefix, after []byte, limit int) ([]keystore.Pair, error) {
	e.open.RLock()
	defer e.open.RUnlock()
	if err := e.usable(ctx); err != nil {
		return nil, err
	}
	txn := e.db.NewTransaction(false)
	defer txn.Discard()
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues = false
	opts.Prefix = prefix
	it := txn.NewIterator(opts)
	defer it.Close()

	var pairs []keystore.Pair
	for it.Seek(start(prefix, after)); it.Valid() && len(pairs) < limit; it.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if after != nil && bytes.Compare(it.Item().Key(), after) <= 0 {
			continue
		}
		value, err := valueOf(it.Item())
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, keystore.Pair{Key: it.Item().KeyCopy(nil), Value: value})
	}
	return pairs, nil
}

// start is the first key that a scan may answer.
func start(prefix, after []byte) []byte {
	if bytes.Compare(after, prefix) > 0 {
		return after
	}
	return prefix
}

// get reads one key in a transaction.
func get(txn *badger.Txn, key []byte) ([]byte, error) {
	item, err := txn.Get(key)
	switch {
	case errors.Is(err, badger.ErrKeyNotFound), errors.Is(err, badger.ErrEmptyKey):
		return nil, keystore.ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("%w: the engine could not read a key", keystore.ErrCorrupt)
	}
	return valueOf(item)
}

func valueOf(item *badger.Item) ([]byte, error) {
	value, err := item.ValueCopy(nil)
	if err != nil || len(value) == 0 {
		return nil, fmt.Errorf("%w: the engine has a key without its value", keystore.ErrCorrupt)
	}
	return value, nil
}

// usable is nil if the call may go on. The caller holds e.open.
func (e *engine) usable(ctx context.Context) error {
	if e.closed {
		return keystore.ErrClosed
	}
	return ctx.Err()
}

// Close waits for running calls, then flushes and releases the store. While the
// disk has no room it answers ErrFull and leaves the files alone, since Badger's
// flush would kill the process: nothing is lost, for every batch is in the log,
// and Close may be called again once there is room. Other repeats answer nil.
func (e *engine) Close() error {
	e.open.Lock()
	defer e.open.Unlock()
	e.closed = true
	if e.done {
		return nil
	}
	if err := reserve(e.dir, e.free, openReserve); err != nil {
		return err
	}
	e.done = true
	return e.closeDB()
}

// closeDB closes Badger, and gives it up after a while if it had failed: a flush
// that fails is tried for ever, and nothing depends on it.
func (e *engine) closeDB() error {
	if e.wal != nil {
		e.wal.close()
	}
	if e.watch.err() == nil {
		return e.outcome(e.db.Close())
	}
	ended := make(chan error, 1)
	go func() { ended <- e.db.Close() }()
	select {
	case err := <-ended:
		return e.outcome(err)
	case <-time.After(giveUp):
		return e.watch.err()
	}
}

// giveUp is how long Close waits for a Badger that has failed.
const giveUp = 5 * time.Second

// outcome is what Close answers for what Badger's Close answered.
func (e *engine) outcome(err error) error {
	if err != nil {
		return fmt.Errorf("%w: badger did not close cleanly; every batch is in its log", keystore.ErrUnavailable)
	}
	return e.watch.err()
}
