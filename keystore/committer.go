package keystore

import (
	"errors"
	"time"
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

// run is the committer: it serves the queued jobs. A caller that is alone commits in its
// own goroutine (see direct). Only these two change the store, and both hold s.lead.
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
		next = s.commitFrom(j)
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
	if s.tip.dirty && !s.tipDue {
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
	err := s.tip.sync()
	if shortage(err) {
		err = s.writeTip(true)
	}
	if err != nil {
		s.fail(err)
	}
}

// commitFrom commits the group that begins with j. It returns the job to serve next, or
// nil if none was dequeued.
func (s *Store) commitFrom(j *job) (next *job) {
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
	s.gather.release(len(in)+len(s.queue), begin)
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
// for more. Staging while other callers are on their way delays none of them. fill
// returns the jobs in the group and the job, if any, that was dequeued but is not in it.
// A job whose operation fails, or that needs more than the free disk space, gets its error
// at once.
func (s *Store) fill(g *group, j *job, free uint64) (in []*job, next *job) {
	in = s.jobs[:0]
	defer func() { s.jobs = in }()
	s.gather.begin()
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
		if !s.gather.wait(n) {
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
