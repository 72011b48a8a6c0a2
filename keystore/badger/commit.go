package badger

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4/y"

	"strongroom.example/keystore"
)

const (
	// MaxValue is the most bytes a value may have.
	MaxValue = 48 << 10
	// MaxKey is the most bytes a key may have.
	MaxKey = 1 << 10
	// MaxEntries is the most puts and deletes one batch may hold. A batch whose
	// entries have 66 bytes or more reaches MaxBatch first.
	MaxEntries = 6000

	maxBatch = 384 << 10

	// reserved begins the keys that Badger keeps for itself.
	reserved = "!badger!"
)

var errKey = errors.New("keystore/badger: a key is empty, or one that the engine keeps for itself")
var errEmpty = errors.New("keystore/badger: a value is empty")

// Commit writes the batch to the redo log, durably, and adds it to the memtable. Errors
// beside those of keystore.Engine: ErrFull if the log is full and there is no room for
// the table that makes it free again; other errors of the system likewise; in both
// nothing was changed, and a later Commit succeeds once the fault is over. ErrUnavailable
// if the log failed and it is not known whether the batch is there after the next Open;
// then every later Commit returns it.
func (e *engine) Commit(ctx context.Context, b keystore.Batch) error {
	if err := fits(b); err != nil {
		return err
	}
	e.open.RLock()
	defer e.open.RUnlock()
	e.commit.Lock()
	defer e.commit.Unlock()
	if err := e.usable(ctx); err != nil {
		return err
	}
	if e.failed != nil {
		return e.failed
	}
	if err := e.checkExpected(ctx, b.Expect); err != nil {
		return err
	}
	if len(b.Put)+len(b.Delete) == 0 {
		return nil
	}
	return e.write(b)
}

// fits checks a batch against the limits.
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

// checkExpected checks what the batch relies on.
func (e *engine) checkExpected(ctx context.Context, expect []keystore.Expectation) error {
	for _, x := range expect {
		value, err := e.get(x.Key)
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

// write makes the batch durable in the redo log and then visible.
func (e *engine) write(b keystore.Batch) error {
	if e.turning || !e.log.hasRoom(b) || !e.view.mem.takes(b) {
		if err := e.turn(); err != nil {
			return err
		}
	}
	if err := e.log.append(b); err != nil {
		return e.logFailed(err)
	}
	ts := e.ts.Load() + 1
	e.view.mem.add(ts, b)
	e.ts.Store(ts)
	return nil
}

// logFailed decides about a batch whose record may or may not be in the log. A segment
// that begins after the batch before it makes the record void, wherever it is; then the
// batch failed and nothing else did. If there is no such segment either, nothing more is
// written.
func (e *engine) logFailed(cause error) error {
	if err := e.turn(); err != nil {
		e.failed = fmt.Errorf("%w: the redo log cannot be written: %w", keystore.ErrUnavailable, cause)
		return e.failed
	}
	return fault("write the redo log", cause)
}

// turn goes on in the other segment of the log. The memtable becomes a table meanwhile.
// After an error nothing is lost, and turn may be called again.
func (e *engine) turn() error {
	if err := e.flushed(); err != nil {
		return err
	}
	next := e.other
	if !next.valid || next.head.before != e.log.newest() || next.head.chain != e.log.chain { // else an earlier try began it
		head := segmentHead{epoch: newEpoch(), before: e.log.newest(), chain: e.log.chain}
		if err := next.begin(e.dir, head); err != nil {
			return fault("begin a segment of the redo log", err)
		}
	}
	// From here on either segment may be the one that the next Open takes for the newest,
	// so nothing goes into this one any more.
	e.turning = true
	if err := e.epoch.set(epochState{epoch: next.head.epoch, seq: next.head.before.seq, chain: next.chain}); err != nil {
		return fault("name the segment of the redo log", err)
	}
	e.turning = false
	e.log, e.other = next, e.log
	e.setMemtableAside(e.other.newest().encode())
	e.startFlush()
	return nil
}

// setMemtableAside sets the memtable aside, to become a table, and begins another. The table
// tells by at which part of the redo log it stands for.
func (e *engine) setMemtableAside(at []byte) {
	ts := e.ts.Load() + 1
	e.show(func(v *view) {
		v.mem.list.Put(y.KeyWithTs([]byte(positionKey), ts), y.ValueStruct{Value: at})
		v.full, v.mem = v.mem, newMemtable()
	})
	e.ts.Store(ts)
}

func newEpoch() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

// Rekey makes tables of all batches and begins the redo log again under another MAC.
func (e *engine) Rekey(mac func(parts ...[]byte) [macSize]byte) error {
	e.open.RLock()
	defer e.open.RUnlock()
	e.commit.Lock()
	defer e.commit.Unlock()
	if e.closed {
		return keystore.ErrClosed
	}
	if err := e.turn(); err != nil {
		return err
	}
	if err := e.flushed(); err != nil {
		return err
	}
	e.mac, e.log.mac, e.other.mac, e.epoch.mac = mac, mac, mac, mac
	if err := e.log.begin(e.dir, segmentHead{epoch: newEpoch(), before: e.log.newest()}); err != nil {
		return fault("begin a segment of the redo log", err)
	}
	return errors.Join(e.markOpen(), e.markOpen()) // both slots
}
