package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
)

// recordSize is the length in bytes of one durable record.
const recordSize = 256

// A durableLog is the cheapest durable log, with which the benches compare the vault. Its
// file has all blocks allocated, and callers that wait at the same time share one write and
// one sync. When the file is full, new records overwrite the oldest ones. It is safe for
// concurrent use.
type durableLog struct {
	file *os.File
	size int // records in the file

	mu      sync.Mutex
	next    int    // the index of the next record
	group   *group // the group that callers join now
	leading bool   // a leader is committing
	free    *sync.Cond

	records, syncs uint64
}

// group is a set of callers that share one sync.
type group struct {
	records []byte
	done    chan struct{}
	err     error
}

// newDurableLog creates a log of the given number of records at path.
func newDurableLog(path string, records int) (*durableLog, error) {
	if records < 1 {
		return nil, errors.New("bench: a log has one record or more")
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	_, err = f.Write(make([]byte, records*recordSize))
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bench: %w", err), f.Close())
	}
	d := &durableLog{file: f, size: records}
	d.free = sync.NewCond(&d.mu)
	return d, nil
}

// Append writes one record, padded or truncated to recordSize, and returns when it is on
// disk. The first caller that joins a group leads it: it waits for the previous leader,
// yields the processor once so that others can join, and commits for all.
func (d *durableLog) Append(record []byte) error {
	g, leads := d.join(record)
	if !leads {
		<-g.done
		return g.err
	}
	d.mu.Lock()
	for d.leading {
		d.free.Wait()
	}
	d.leading = true
	d.mu.Unlock()

	runtime.Gosched()
	d.commit(g)
	return g.err
}

// join adds the record to the current group.
func (d *durableLog) join(record []byte) (g *group, leads bool) {
	var padded [recordSize]byte
	copy(padded[:], record)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.group == nil {
		d.group, leads = &group{done: make(chan struct{})}, true
	}
	d.group.records = append(d.group.records, padded[:]...)
	return d.group, leads
}

// commit closes the group, makes its records durable and wakes its callers.
func (d *durableLog) commit(g *group) {
	d.mu.Lock()
	d.group = nil
	n := len(g.records) / recordSize
	at := d.next
	d.next = (at + n) % d.size
	d.records += uint64(n)
	d.syncs++
	d.mu.Unlock()

	g.err = d.write(g.records, at)

	d.mu.Lock()
	d.leading = false
	d.mu.Unlock()
	d.free.Signal()
	close(g.done)
}

// write writes records at their place, continues at the beginning of the file when the
// end is reached, and syncs once.
func (d *durableLog) write(records []byte, at int) error {
	for len(records) > 0 {
		n := min(len(records), (d.size-at)*recordSize)
		if _, err := d.file.WriteAt(records[:n], int64(at)*recordSize); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		records, at = records[n:], 0
	}
	if err := datasync(d.file); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

// Count returns how many records were written, and with how many syncs.
func (d *durableLog) Count() (records, syncs uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.records, d.syncs
}

// Close closes the file. It does not remove it.
func (d *durableLog) Close() error { return d.file.Close() }

// after returns an operation that does another one, and then writes a durable record.
func (d *durableLog) after(do act) act {
	return func(ctx context.Context, dst []byte) error {
		if err := do(ctx, dst); err != nil {
			return err
		}
		return d.Append(nil)
	}
}
