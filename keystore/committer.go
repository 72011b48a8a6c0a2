package keystore

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

const (
	// maxGroup is how many operations one batch holds at most.
	maxGroup = 1024
	// tipEvery is how long a tip may stay unsynced.
	tipEvery = time.Second
)

// run is the committer. It serves whoever queues; a caller who is alone serves
// himself (direct). Nothing but these two, under s.lead, changes the store.
func (s *Store) run() {
	defer close(s.stopped)
	for {
		select {
		case <-s.quit:
			return
		case j := <-s.queue:
			s.lead.Lock()
			s.gather.wait(s.queue)
			s.serve(s.drain(j))
			s.lead.Unlock()
		}
	}
}

// direct serves the caller's job in his own goroutine, if nobody else is there and
// nobody was in the last group. It spares a caller alone the way to the committer
// and back, a tenth of his commit.
func (s *Store) direct(j *job) bool {
	if len(s.queue) > 0 || !s.lead.TryLock() {
		return false
	}
	defer s.lead.Unlock()
	if s.gather.released > 1 || s.closed.Load() {
		return false
	}
	runtime.Gosched()
	s.serve(s.drain(j))
	return true
}

func (s *Store) drain(first *job) []*job {
	jobs := s.jobs[:0]
	for j := first; ; {
		if j.take() {
			jobs = append(jobs, j)
		}
		if len(jobs) == maxGroup {
			break
		}
		select {
		case j = <-s.queue:
			continue
		default:
		}
		break
	}
	s.jobs = jobs
	return jobs
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
	clear(s.jobs)
	s.tipLater()
}

// tipLater has the tip synced within tipEvery, if it was written since.
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
	if err := s.tip.sync(); err != nil {
		s.fail(err)
	}
}

// commitJobs commits the first of jobs that fit one batch and tells how many.
func (s *Store) commitJobs(jobs []*job) int {
	if err := s.ready(); err != nil {
		answer(jobs, err)
		return len(jobs)
	}
	g := s.newGroup()
	defer g.wipe()
	n, in := s.stageJobs(g, jobs)
	begin := time.Now()
	err := s.commitGroup(g, s.head)
	s.gather.release(len(in)+len(s.queue), begin)
	if errors.Is(err, ErrTooLarge) && len(in) > 1 && s.Failed() == nil {
		for i := range in {
			s.commitJobs(in[i : i+1])
		}
		return n
	}
	answer(in, err)
	return n
}

// stageJobs stages jobs until the group is full. It tells how many it took, and
// which of them are in the group; the others have their error.
func (s *Store) stageJobs(g *group, jobs []*job) (n int, in []*job) {
	in = make([]*job, 0, len(jobs))
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
	return n, in
}

func answer(jobs []*job, err error) {
	for _, j := range jobs {
		j.done <- err
	}
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
