package keystore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/osfile"
)

const (
	// maxGroup is the largest number of operations in one batch.
	maxGroup = 1024
	// tipEvery is the longest time for which a written tip stays unsynced.
	tipEvery = time.Second
	// lookEvery is the interval at which an idle store compares all of its files with
	// their names.
	lookEvery = time.Second
)

// job is one operation to commit. If alone is set, the committer runs it in place of op,
// outside a group.
type job struct {
	op      func(*Tx) error
	alone   func() error
	reserve bool // see CommitInReserve
	taken   atomic.Bool
	done    chan error
}

// Commit runs op in the goroutine that commits and returns nil once its batch is durable and the tip
// is written. If Commit returns op's error, none of op's changes are applied. ctx bounds
// the wait until op starts; after that Commit waits for the batch. op may run more than
// once and must not call Commit. A panic in op becomes an error with only the type of the
// panic's value. Other errors:
//   - ErrFull, ErrTooLarge: nothing was changed.
//   - ErrClosed: the store is closed.
//   - ErrUnavailable: the store failed closed; the batch may be there after the next
//     Open.
func (s *Store) Commit(ctx context.Context, op func(*Tx) error) error {
	return s.enqueue(ctx, &job{op: op, done: make(chan error, 1)})
}

// CommitInReserve is Commit for an operation that has to work when the disk is nearly
// full. It returns ErrFull only below a quarter of Config.MinFree or 4 MiB, whichever is
// larger, while Commit returns it below Config.MinFree.
func (s *Store) CommitInReserve(ctx context.Context, op func(*Tx) error) error {
	return s.enqueue(ctx, &job{op: op, reserve: true, done: make(chan error, 1)})
}

// alone runs f in the committer while no other job runs. f must check for disk space (see
// withRoom) if it writes.
func (s *Store) alone(ctx context.Context, f func() error) error {
	return s.enqueue(ctx, &job{alone: f, done: make(chan error, 1)})
}

func (s *Store) enqueue(ctx context.Context, j *job) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if j.alone == nil && s.serveHere(j) {
		return <-j.done
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
		if j.take() {
			return ctx.Err()
		}
	case <-s.stopped:
		if j.take() {
			return ErrClosed
		}
	}
	return <-j.done
}

// take claims the job: it reports true to the first caller only, either the committer,
// which then runs the job, or the queued caller, which gives up.
func (j *job) take() bool { return j.taken.CompareAndSwap(false, true) }

// serveHere serves the job in the caller's own goroutine if no other job is queued and the
// last group had at most one job. It reports whether it did so. This saves a lone caller
// the two goroutine switches to the committer and back, about a tenth of the time of its
// commit. A job that serveHere dequeues but does not commit is handed to the committer, so
// that the caller can return.
func (s *Store) serveHere(j *job) bool {
	if len(s.queue) > 0 || !s.lead.TryLock() {
		return false
	}
	defer s.lead.Unlock()
	if !s.callers.WasAlone() || len(s.next) > 0 || s.closed.Load() {
		return false
	}
	if next := s.serve(j); next != nil {
		s.next <- next
	}
	return true
}

// run is the committer: it serves the queued jobs. A caller that is alone commits in its
// own goroutine (see serveHere). Only these two change the store, and both hold s.lead.
func (s *Store) run() {
	defer close(s.stopped)
	looking := time.NewTicker(lookEvery)
	defer looking.Stop()
	for j := s.await(looking.C); j != nil; j = s.await(looking.C) {
		s.lead.Lock()
		for j != nil {
			j = s.serve(j)
		}
		s.lead.Unlock()
	}
}

// await returns the next job, or nil once the store closes. A job handed over through
// s.next is older than the queued ones and is returned first.
func (s *Store) await(look <-chan time.Time) *job {
	select {
	case j := <-s.next:
		return j
	default:
	}
	for {
		select {
		case <-s.quit:
			return nil
		case j := <-s.next:
			return j
		case j := <-s.queue:
			return j
		case <-look:
			s.lookAgain()
		}
	}
}

// lookAgain compares every file even if no directory entry changed, because an engine may
// also check the contents of its files. Before that it resumes an interrupted replacement
// of the root file.
func (s *Store) lookAgain() {
	s.lead.Lock()
	defer s.lead.Unlock()
	if s.Failed() == nil {
		_ = s.resumeRoot() // the next operation tries again
	}
	if s.Failed() == nil {
		_ = s.lookClosely() // a fault fails the next operation
	}
}

// serve runs j: by itself if it needs the committer alone, otherwise in a group with the
// queued jobs. It returns the job to serve next, or nil if none was dequeued.
func (s *Store) serve(j *job) (next *job) {
	if j.alone != nil {
		s.runAlone(j)
	} else {
		next = s.serveGroup(j)
	}
	s.tipLater()
	return next
}

func (s *Store) runAlone(j *job) {
	if !j.take() {
		return
	}
	err := s.Failed()
	if err == nil {
		err = j.alone()
	}
	j.done <- err
}

// tipLater schedules a sync of the tip within tipEvery if the tip is dirty.
func (s *Store) tipLater() {
	if s.tip.Dirty() && !s.tipDue {
		s.tipDue = true
		s.tipTimer = time.AfterFunc(tipEvery, s.syncTip)
	}
}

func (s *Store) syncTip() {
	s.lead.Lock()
	defer s.lead.Unlock()
	s.tipDue = false
	if s.closed.Load() {
		return // Close syncs it
	}
	if err := s.flushTip(); err != nil {
		s.fail(err)
	}
}

// flushTip syncs a tip that was written. A shortage makes it write the tip again and sync
// it once more.
func (s *Store) flushTip() error {
	err := s.tip.Sync()
	if fault.IsShortage(err) {
		err = s.tryTip(true)
	}
	return err
}

// serveGroup gathers the group that begins with j, commits it and passes each job
// its error. It returns the job to serve next, or nil if none was dequeued.
func (s *Store) serveGroup(j *job) (next *job) {
	free, err := s.room()
	if err == nil {
		err = s.enough(free, j.reserve)
	}
	if err != nil {
		if j.take() {
			j.done <- err
		}
		return nil
	}
	g := s.newGroup()
	defer g.wipe()
	in, next := s.fill(g, j, free)
	defer clear(in)
	begin := time.Now()
	err = s.commitGroup(g, s.head)
	s.callers.EndGroup(len(in)+len(s.queue), begin)
	if errors.Is(err, ErrTooLarge) && len(in) > 1 && s.Failed() == nil {
		for _, j := range in {
			j.done <- s.commitOne(j)
		}
		return next
	}
	answer(in, err)
	return next
}

// fill stages j and the queued jobs until the group is full or it does not pay to wait
// for more. It stages each job when it comes, and not all of them once the group is full, so
// that the work is done while the other callers compute. fill returns the jobs in the group and
// the job, if any, that was dequeued but is not in it.
// A job whose operation fails, or that needs more than the free disk space, gets its error
// at once.
func (s *Store) fill(g *group, j *job, free uint64) (in []*job, next *job) {
	in = s.jobs[:0]
	defer func() { s.jobs = in }()
	s.callers.BeginGroup()
	for came := 1; ; came++ {
		if j.alone != nil || g.size > s.engine.MaxBatch()*3/4 {
			return in, j
		}
		if !j.take() {
			// the caller gave up
		} else if err := s.enough(free, j.reserve); err != nil {
			j.done <- err
		} else if err := g.stage(j.op); err != nil {
			j.done <- err
		} else if in = append(in, j); len(in) == maxGroup {
			return in, nil
		}
		if j = s.another(came); j == nil {
			return in, nil
		}
	}
}

// another returns the next queued job, after n jobs were dequeued for the group. It
// returns nil if the group should commit without waiting longer.
func (s *Store) another(n int) *job {
	for {
		select {
		case j := <-s.queue:
			return j
		default:
		}
		if !s.callers.WaitForMore(n) {
			return nil
		}
	}
}

// commitOne commits a job by itself, unless the store failed during an earlier one.
func (s *Store) commitOne(j *job) error {
	if err := s.ready(j.reserve); err != nil {
		return err
	}
	g := s.newGroup()
	defer g.wipe()
	if err := g.stage(j.op); err != nil {
		return err
	}
	return s.commitGroup(g, s.head)
}

func answer(jobs []*job, err error) {
	for _, j := range jobs {
		j.done <- err
	}
}

// minReserve is the least free disk space, in bytes, below which nothing is committed: a
// segment of the redo log.
const minReserve = 4 << 20

// need returns the free disk space that a commit needs. A commit in the reserve needs a
// quarter of Config.MinFree, at least minReserve, and never more than another commit.
func (s *Store) need(reserve bool) uint64 {
	if reserve {
		return min(s.cfg.MinFree, max(s.cfg.MinFree/4, minReserve))
	}
	return s.cfg.MinFree
}

// enough returns ErrFull if free bytes do not suffice for a commit.
func (s *Store) enough(free uint64, reserve bool) error {
	if need := s.need(reserve); free < need {
		return fmt.Errorf("%w: %s has %d bytes free, and %d are needed; make room, or lower Config.MinFree",
			ErrFull, s.dir.Path(), free, need)
	}
	return nil
}

// room returns the free disk space before a batch is tried. It first resumes a
// replacement of the root file that a shortage interrupted. Errors: ErrUnavailable, and
// that of the shortage.
func (s *Store) room() (free uint64, err error) {
	if err := s.Failed(); err != nil {
		return 0, err
	}
	if err := s.resumeRoot(); err != nil {
		return 0, err
	}
	if s.cfg.freeDisk != nil {
		return s.cfg.freeDisk()
	}
	if free, err = osfile.Free(s.dir.File()); err != nil {
		return 0, fault.Environment("find the free space of", s.dir.Path(), err)
	}
	return free, nil
}

// ready returns nil if a batch may be tried: room's error, or that of enough.
func (s *Store) ready(reserve bool) error {
	free, err := s.room()
	if err != nil {
		return err
	}
	return s.enough(free, reserve)
}

// withRoom returns f with a preceding call of ready.
func (s *Store) withRoom(reserve bool, f func() error) func() error {
	return func() error {
		if err := s.ready(reserve); err != nil {
			return err
		}
		return f()
	}
}

// Failed returns ErrUnavailable with its cause if the store has failed closed, otherwise
// nil.
func (s *Store) Failed() error {
	if p := s.failed.Load(); p != nil {
		return *p
	}
	return nil
}

func (s *Store) fail(cause error) error {
	err := fmt.Errorf("%w: %w", ErrUnavailable, cause)
	s.failed.CompareAndSwap(nil, &err)
	return err
}
