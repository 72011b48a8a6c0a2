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

// A Durable is a log of records with the least that durability costs: a file
// whose blocks were written before, one write and one sync for all who wait. When
// the file is full it begins again. It is safe for concurrent use.
type Durable struct {
	file *os.File
	size int // records in the file

	mu      sync.Mutex
	next    int    // where the next record goes
	group   *group // who joins now
	leading bool   // a leader is at work
	free    *sync.Cond

	records, syncs uint64
}

// group is the callers that share one sync.
type group struct {
	records []byte
	done    chan struct{}
	err     error
}

// NewDurable makes a log of the given number of records at path.
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

// Append writes one record, padded or cut to RecordSize, and returns once it is
// on disk. The first to join a group leads it: it waits for the leader before it,
// lets others run once so that they can join, and commits for all.
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

// join adds the record to the group that is gathering.
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

// commit closes the group, makes its records durable and lets everyone go.
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

// write puts records at their place, going on at the beginning of the file where
// its end is reached, and syncs once.
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

// Count tells how many records were written, and with how many syncs.
func (d *Durable) Count() (records, syncs uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.records, d.syncs
}

// Close closes the file, which stays.
func (d *Durable) Close() error { return d.file.Close() }
