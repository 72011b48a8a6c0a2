package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

const maxGroup = 1024

// job is one operation on its way through the committer. alone, if set, runs
// in place of op with the committer to itself.
type job struct {
	op    func(*Tx) error
	alone func() error
	taken atomic.Bool
	done  chan error
}

// Commit runs op in the committer and returns once its batch is durable and the
// tip written, or with op's own error; then nothing of op is applied. ctx bounds
// the waiting in the queue; an operation that was taken is waited for. op may
// run more than once and must not call Commit.
func (s *Store) Commit(ctx context.Context, op func(*Tx) error) error {
	return s.enqueue(ctx, &job{op: op, done: make(chan error, 1)})
}

func (s *Store) enqueue(ctx context.Context, j *job) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.queue <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
		return ErrClosed
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		if j.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
	case <-s.stopped:
		if j.taken.CompareAndSwap(false, true) {
			return ErrClosed
		}
	}
	return <-j.done
}

// run is the committer. It alone changes the store.
func (s *Store) run() {
	defer close(s.stopped)
	timer := time.NewTicker(time.Second)
	defer timer.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-timer.C:
			if err := s.tip.sync(); err != nil {
				s.fail(err)
			}
		case j := <-s.queue:
			runtime.Gosched() // let those who are about to queue come along
			s.serve(s.drain(j))
		}
	}
}

func (s *Store) drain(first *job) []*job {
	jobs := make([]*job, 0, 16)
	for j := first; ; {
		if j.taken.CompareAndSwap(false, true) {
			jobs = append(jobs, j)
		}
		if len(jobs) == maxGroup {
			return jobs
		}
		select {
		case j = <-s.queue:
		default:
			return jobs
		}
	}
}

// serve runs jobs in order: groups of operations, and those that run alone.
func (s *Store) serve(jobs []*job) {
	for len(jobs) > 0 {
		if jobs[0].alone != nil {
			err := s.ready()
			if err == nil {
				err = jobs[0].alone()
			}
			jobs[0].done <- err
			jobs = jobs[1:]
			continue
		}
		n := 1
		for n < len(jobs) && jobs[n].alone == nil {
			n++
		}
		jobs = jobs[s.commitJobs(jobs[:n]):]
	}
}

// commitJobs commits the first of jobs that fit one batch and tells how many.
func (s *Store) commitJobs(jobs []*job) int {
	g := s.newGroup()
	defer g.wipe()
	if err := s.ready(); err != nil {
		for _, j := range jobs {
			j.done <- err
		}
		return len(jobs)
	}
	n, in := 0, make([]*job, 0, len(jobs))
	for _, j := range jobs {
		if n > 0 && g.size > s.engine.MaxBatch()*3/4 {
			break
		}
		if err := g.stage(j.op); err != nil {
			j.done <- err
		} else {
			in = append(in, j)
		}
		n++
	}
	err := s.commitGroup(g, s.head)
	if errors.Is(err, ErrTooLarge) && len(in) > 1 && s.Failed() == nil {
		for _, j := range in {
			s.commitJobs([]*job{j})
		}
		return n
	}
	for _, j := range in {
		j.done <- err
	}
	return n
}

// ready tells whether a batch may be tried at all.
func (s *Store) ready() error {
	if err := s.Failed(); err != nil {
		return err
	}
	free, err := freeDisk(s.cfg.Dir)
	if err != nil {
		return err
	}
	if free < s.cfg.MinFree {
		return fmt.Errorf("%w: %d bytes free, %d needed", ErrFull, free, s.cfg.MinFree)
	}
	return nil
}

// commitGroup seals the group, with the head that follows from next, into one
// batch and commits it.
func (s *Store) commitGroup(g *group, next head) error {
	if g.empty() && next.rootHash == s.head.rootHash && next.nextRoot == s.head.nextRoot && s.sealed != nil {
		return nil
	}
	next.generation, next.epoch = g.generation, s.keys.current
	ext, err := s.extend(next.log, g.leaves)
	if err != nil {
		return err
	}
	next.log = ext.State
	for _, p := range ext.Put {
		g.puts[p.Path] = change{value: p.Value}
	}
	b, err := s.seal(g)
	if err != nil {
		return err
	}
	return s.commitBatch(b, next, g.pending())
}

func (s *Store) extend(from LogState, leaves [][]byte) (Extension, error) {
	if len(leaves) == 0 && from.Size > 0 {
		return Extension{State: from}, nil
	}
	return s.cfg.Log.Extend(from, leaves)
}

// commitBatch adds the head to b and commits; pending is what b makes of the
// census.
func (s *Store) commitBatch(b Batch, next head, pending map[string]pendingEntry) error {
	next.digest, next.count = s.applied(pending)
	sealed, err := s.sealer.seal(nil, s.keys, recordID{classHead, s.keys.current, next.generation}, []byte(keyHead), "", next.encode(nil))
	if err != nil {
		return err
	}
	b.Expect = []Expectation{{[]byte(keyHead), s.sealed}}
	b.Put = append(b.Put, Pair{[]byte(keyHead), sealed})
	if b.Size() > s.engine.MaxBatch() {
		return fmt.Errorf("%w: a batch of %d bytes", ErrTooLarge, b.Size())
	}
	s.mu.Lock()
	s.pending = pending
	s.mu.Unlock()
	err = s.step("commit")
	if err == nil {
		err = s.engine.Commit(context.Background(), b)
	}
	if err != nil {
		return s.settle(err)
	}
	s.land(next, sealed, pending)
	if err := s.writeTip(); err != nil {
		return s.fail(err)
	}
	return nil
}

// settle decides after a failed commit: if the head is unchanged nothing
// happened, otherwise the store fails closed.
func (s *Store) settle(cause error) error {
	now, err := s.engine.Get(context.Background(), []byte(keyHead))
	unchanged := err == nil && bytes.Equal(now, s.sealed) || errors.Is(err, ErrNotFound) && s.sealed == nil
	if !unchanged {
		return s.fail(cause)
	}
	s.mu.Lock()
	s.pending = nil
	s.mu.Unlock()
	return fmt.Errorf("keystore: commit: %w", cause)
}

// land makes a durable batch the store's state.
func (s *Store) land(next head, sealed []byte, pending map[string]pendingEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path, p := range pending {
		if p.deleted {
			delete(s.census.entries, path)
		} else {
			s.census.entries[path] = p.entry
		}
	}
	s.census.digest, s.pending = next.digest, nil
	s.head, s.sealed = next, sealed
}

func (s *Store) writeTip() error {
	if err := s.step("tip"); err != nil {
		return err
	}
	return s.tip.write(s.keys, s.head.tip())
}

// applied is the digest and count of the census after pending.
func (s *Store) applied(pending map[string]pendingEntry) ([32]byte, uint64) {
	digest, count := s.census.digest, uint64(len(s.census.entries))
	for path, p := range pending {
		if old, ok := s.census.entries[path]; ok {
			toggle(&digest, s.keys, path, old)
			count--
		}
		if !p.deleted {
			toggle(&digest, s.keys, path, p.entry)
			count++
		}
	}
	return digest, count
}

// seal makes the group's batch, without the head.
func (s *Store) seal(g *group) (Batch, error) {
	var b Batch
	s.slab = s.slab[:0]
	g.changes = make(map[string]pendingEntry, len(g.puts))
	for path, c := range g.puts {
		at := s.keys.engineKey(path)
		if c.deleted {
			if _, ok := s.census.entries[path]; ok {
				b.Delete = append(b.Delete, at)
				g.changes[path] = pendingEntry{deleted: true}
			}
			continue
		}
		version := g.generation
		if c.version != 0 {
			version = c.version
		}
		id := recordID{c.class, s.keys.current, version}
		sealed, err := s.sealInto(id, at, path, c.value)
		if err != nil {
			return b, err
		}
		b.Put = append(b.Put, Pair{at, sealed})
		g.changes[path] = pendingEntry{entry: entry{id.version, s.keys.suite.Hash(sealed), c.class, id.epoch}}
	}
	for i, leaf := range g.leaves {
		seq := s.head.log.Size + uint64(i)
		at := logKey(seq)
		sealed, err := s.sealInto(recordID{classLog, s.keys.current, seq}, at, "", leaf)
		if err != nil {
			return b, err
		}
		b.Put = append(b.Put, Pair{at, sealed})
	}
	return b, nil
}

// sealInto seals into the slab, which the next batch uses again.
func (s *Store) sealInto(id recordID, at []byte, path string, value []byte) ([]byte, error) {
	start := len(s.slab)
	slab, err := s.sealer.seal(s.slab, s.keys, id, at, path, value)
	if err != nil {
		return nil, err
	}
	s.slab = slab
	return slab[start:len(slab):len(slab)], nil
}

func (g *group) pending() map[string]pendingEntry { return g.changes }
