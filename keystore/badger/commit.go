package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"strongroom.example/keystore"
)

var errKey = errors.New("keystore/badger: a key is empty, or one that the engine keeps for itself")
var errEmpty = errors.New("keystore/badger: a value is empty")

// reserved begins the keys that Badger keeps for itself.
const reserved = "!badger!"

// Commit writes the batch to the redo log; Badger gets it later, with others. Once
// it answered ErrUnavailable every later one does: Badger reported a fault, or the
// log did, and then nobody knows whether the batch is there after the next Open.
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
	if err := e.holds(ctx, b.Expect); err != nil {
		return err
	}
	if len(b.Put)+len(b.Delete) == 0 {
		return nil // in the log it would be a step that Badger's position does not take
	}
	return e.write(b)
}

// writable is nil if a batch may be written. The caller holds e.open.
func (e *engine) writable(ctx context.Context) error {
	if err := e.usable(ctx); err != nil {
		return err
	}
	return e.watch.err()
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
	if len(key) == 0 || bytes.HasPrefix(key, []byte(reserved)) || string(key) == positionKey {
		return errKey
	}
	return nil
}

// holds checks what the batch relies on.
func (e *engine) holds(ctx context.Context, expect []keystore.Expectation) error {
	for _, x := range expect {
		value, err := e.get(ctx, x.Key)
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

// write makes the batch durable in the redo log and lays it over Badger, in this
// order: Badger never has a batch that the log does not.
func (e *engine) write(b keystore.Batch) error {
	if !e.over.takes(b) {
		if err := e.handOver(); err != nil {
			return err
		}
	}
	record := e.log.encode(b)
	if !e.log.holds(record) {
		if err := e.turn(); err != nil {
			return err
		}
		record = e.log.encode(b)
	}
	if err := e.log.append(record); err != nil {
		e.watch.Errorf("a batch that could not be logged: %T", err)
		return e.watch.err()
	}
	e.over.add(b)
	return nil
}

// turn goes on at the start of the log, which is full.
func (e *engine) turn() error {
	if err := e.handed(); err != nil {
		return err
	}
	if err := e.room(commitReserve); err != nil {
		return err
	}
	if err := e.handAll(e.log.last); err != nil {
		return err
	}
	if err := e.harden(); err != nil {
		return err
	}
	e.log.begin(e.log.last.seq)
	return nil
}
