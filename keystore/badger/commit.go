package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"strongroom.example/keystore"
)

var errKey = errors.New("keystore/badger: a key is empty or begins with Badger's own prefix")
var errEmpty = errors.New("keystore/badger: a value is empty")

// reserved begins the keys that Badger keeps for itself.
const reserved = "!badger!"

// Commit applies the batch in one synced transaction. Once a commit failed in
// Badger itself, or Badger reported a fault, every later one is ErrUnavailable.
func (e *engine) Commit(ctx context.Context, b keystore.Batch) error {
	if err := fits(b); err != nil {
		return err
	}
	e.open.RLock()
	defer e.open.RUnlock()
	e.commit.Lock()
	defer e.commit.Unlock()
	if err := e.writable(ctx); err != nil {
		return err
	}
	txn := e.db.NewTransaction(true)
	defer txn.Discard()
	if err := holds(txn, b.Expect); err != nil {
		return err
	}
	return e.apply(txn, b)
}

// writable is nil if a batch may be written. The caller holds e.open.
func (e *engine) writable(ctx context.Context) error {
	if err := e.usable(ctx); err != nil {
		return err
	}
	if err := e.watch.err(); err != nil {
		return err
	}
	return reserve(e.dir, e.free, commitReserve)
}

// fits checks the batch before Badger sees it, whose own refusals print values.
func fits(b keystore.Batch) error {
	if n := len(b.Put) + len(b.Delete); n > MaxEntries {
		return fmt.Errorf("%w: %d entries in a batch, at most %d", keystore.ErrTooLarge, n, MaxEntries)
	}
	if b.Size() > maxBatch {
		return fmt.Errorf("%w: %d bytes in a batch, at most %d", keystore.ErrTooLarge, b.Size(), maxBatch)
	}
	for _, p := range b.Put {
		if len(p.Value) > MaxValue {
			return fmt.Errorf("%w: a value of %d bytes, at most %d", keystore.ErrTooLarge, len(p.Value), MaxValue)
		}
		if len(p.Value) == 0 {
			return errEmpty
		}
		if err := fitsKey(p.Key); err != nil {
			return err
		}
	}
	for _, k := range b.Delete {
		if err := fitsKey(k); err != nil {
			return err
		}
	}
	return nil
}

func fitsKey(key []byte) error {
	if len(key) > MaxKey {
		return fmt.Errorf("%w: a key of %d bytes, at most %d", keystore.ErrTooLarge, len(key), MaxKey)
	}
	if len(key) == 0 || bytes.HasPrefix(key, []byte(reserved)) {
		return errKey
	}
	return nil
}

// holds checks what the batch relies on.
func holds(txn *badger.Txn, expect []keystore.Expectation) error {
	for _, x := range expect {
		value, err := get(txn, x.Key)
		absent := errors.Is(err, keystore.ErrNotFound)
		if err != nil && !absent {
			return err
		}
		if absent != (x.Value == nil) || !bytes.Equal(value, x.Value) {
			return keystore.ErrConflict
		}
	}
	return nil
}

// apply writes the batch and waits until it is on disk.
func (e *engine) apply(txn *badger.Txn, b keystore.Batch) error {
	for _, p := range b.Put {
		if err := txn.Set(p.Key, p.Value); err != nil {
			return staging(err)
		}
	}
	for _, k := range b.Delete {
		if err := txn.Delete(k); err != nil {
			return staging(err)
		}
	}
	if err := txn.Commit(); err != nil {
		e.watch.Errorf("a commit that failed: %T", err)
	} else if err := e.wal.sync(); err != nil {
		e.watch.Errorf("a commit that could not be synced: %v", err)
	}
	return e.watch.err()
}

// staging names a refusal of Badger's before anything was written; its own text
// may hold a value.
func staging(err error) error {
	if errors.Is(err, badger.ErrTxnTooBig) {
		return fmt.Errorf("%w: more than a Badger transaction holds", keystore.ErrTooLarge)
	}
	return fmt.Errorf("%w: badger refused an entry", keystore.ErrUnavailable)
}
