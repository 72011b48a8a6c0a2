package keystore

import (
	"errors"
	"time"
)

const (
	// maxGroup is how many operations one batch holds at most.
	maxGroup = 1024
	// tipEvery is how long a tip may stay unsynced.
	tipEvery = time.Second
	// lookEvery is how often a store compares all of its files with their names.
	lookEvery = time.Second
)

// run is the committer. It serves whoever queues; a caller who is alone serves
// himself (direct). Nothing but these two, under s.lead, changes the store.
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

// await is the next job, nil at the end. One that was handed over came before those
// who queue.
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

// lookAgain compares every file, also when no name has changed: an engine looks into
// some of them.
func (s *Store) lookAgain() {
	s.lead.Lock()
	defer s.lead.Unlock()
	if s.Failed() == nil {
		_ = s.lookClosely() // what it finds fails the next operation
	}
}

// serve runs j, with those who come along: in a group, or by itself. It answers the
// job that comes next, nil if none is known of.
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

// commitFrom commits the group that begins with j, and answers the job that comes
// next, nil if none is known of.
func (s *Store) commitFrom(j *job) (next *job) {
	if err := s.ready(); err != nil {
		if j.take() {
			j.done <- err
		}
		return nil
	}
	g := s.newGroup()
	defer g.wipe()
	in, next := s.fill(g, j)
	defer clear(in)
	begin := time.Now()
	err := s.commitGroup(g, s.head)
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

// fill stages j and those who queue until the group is full, or nobody is waited
// for any more. What is staged while others are on their way delays nobody. It tells
// who is in the group (the others have their error), and who comes after it.
func (s *Store) fill(g *group, j *job) (in []*job, next *job) {
	in = s.jobs[:0]
	defer func() { s.jobs = in }()
	s.gather.begin()
	for came := 1; ; came++ {
		if j.alone != nil || g.size > s.engine.MaxBatch()*3/4 {
			return in, j
		}
		if !j.take() {
			// he has gone
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

// another is the next who queues, after n who came, nil if the group is better off
// without waiting for him.
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

// commitOne commits a job by itself, unless the store failed over the one before.
func (s *Store) commitOne(j *job) error {
	if err := s.ready(); err != nil {
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
