package bench

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
)

// RecordSize is the length in bytes of one durable record.
const RecordSize = 256

// A Durable is a log of records with minimal cost for durability: a file whose blocks are
// already allocated, and one write and one sync for all waiting callers. When the file is
// full the log continues at its beginning. It is safe for concurrent use.
type Durable struct {
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

// NewDurable creates a log of the given number of records at path.
func NewDurable(path string, records int) (*Durable, error) {
	if records < 1 {
		return nil, errors.New("bench: a log has one record or more")
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	_, err = f.Write(make([]byte, records*RecordSize))
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bench: %w", err), f.Close())
	}
	d := &Durable{file: f, size: records}
	d.free = sync.NewCond(&d.mu)
	return d, nil
}

// Append writes one record, padded or truncated to RecordSize, and returns when it is on
// disk. The first caller that joins a group leads it: it waits for the previous leader,
// yields the processor once so that others can join, and commits for all.
func (d *Durable) Append(record []byte) error {
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
func (d *Durable) join(record []byte) (g *group, leads bool) {
	var padded [RecordSize]byte
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
func (d *Durable) commit(g *group) {
	d.mu.Lock()
	d.group = nil
	n := len(g.records) / RecordSize
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
func (d *Durable) write(records []byte, at int) error {
	for len(records) > 0 {
		n := min(len(records), (d.size-at)*RecordSize)
		if _, err := d.file.WriteAt(records[:n], int64(at)*RecordSize); err != nil {
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
func (d *Durable) Count() (records, syncs uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.records, d.syncs
}

// Close closes the file. It does not remove it.
func (d *Durable) Close() error { return d.file.Close() }
