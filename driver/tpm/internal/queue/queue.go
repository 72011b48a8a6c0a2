// Package queue decides which call has the TPM, and in which order waiting calls get it.
package queue

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A Priority is the urgency of a job.
type Priority uint8

// The priorities, the most urgent first.
const (
	Urgent   Priority = iota // unlocking a vault, and reading the TPM's state
	Ordinary                 // using keys
	Slow                     // generating keys, which takes seconds on a chip
	priorities
)

// A Job is a call that uses the TPM. W describes its work to the goroutine that runs it.
type Job[W any] struct {
	Ctx      context.Context
	Priority Priority
	Cost     string // the name of the work, for the estimate of its duration
	Key      Key    // the key that it uses, or nil
	Work     W

	done  chan error
	since time.Time
	begun time.Time
	takes time.Duration // the expected duration
}

// A Key is loaded into the TPM when it is used.
type Key interface {
	// Loaded reports whether the key is loaded. The goroutine that has the TPM calls it.
	Loaded() bool
}

// Expected returns the expected duration of a job that was queued; 0 if it is not known.
func (j *Job[W]) Expected() time.Duration { return j.takes }

// Errors of [Queue.Do].
var (
	ErrClosed = errors.New("closed")
	ErrFull   = errors.New("too many calls wait for the TPM")
	ErrLate   = errors.New("the TPM would not get to this call before its deadline")
)

// A Queue holds jobs until the TPM is free, and determines which goroutine has the TPM: a
// caller that finds the TPM idle runs its own job; otherwise the serving goroutine runs
// all waiting jobs. Its methods are safe for concurrent use.
type Queue[W any] struct {
	limit    int
	run      func(*Job[W]) error
	handOver func()

	mu      sync.Mutex
	taken   bool // a goroutine has the TPM
	waiting [priorities][]*Job[W]
	size    int
	busy    *Job[W] // the job that the TPM works on
	costs   map[string]time.Duration
	ahead   [priorities]time.Duration // the expected duration of all waiting jobs
	slowed  time.Time                 // when the last slow job began or ended
	closed  bool
}

// A Server runs the jobs of a queue.
type Server[W any] struct {
	// Run runs a job. The goroutine that has the TPM calls it.
	Run func(*Job[W]) error
	// HandOver gives the TPM to the serving goroutine, which calls Next until no job
	// waits. The goroutine that has the TPM calls it.
	HandOver func()
}

// New returns a queue of at most limit waiting jobs.
func New[W any](limit int, s Server[W]) *Queue[W] {
	return &Queue[W]{limit: limit, run: s.Run, handOver: s.HandOver, costs: make(map[string]time.Duration)}
}

// Do runs a job in the TPM, waits for it, and returns its error. If the context ends
// first, Do removes a job that still waits; it waits for the end of a job that has begun.
//
// Errors, beside those of the job and its context:
//   - ErrClosed: the queue was closed.
//   - ErrFull: as many jobs wait as may.
//   - ErrLate: the deadline of the context is before the expected begin of the job.
func (q *Queue[W]) Do(j *Job[W]) error {
	if err := j.Ctx.Err(); err != nil {
		return err
	}
	alone, err := q.put(j)
	if err != nil {
		return err
	}
	if alone {
		return q.runOwn(j)
	}
	select {
	case err := <-j.done:
		return err
	case <-j.Ctx.Done():
	}
	if q.remove(j) {
		return j.Ctx.Err()
	}
	return <-j.done
}

// put queues a job, if there is room and its deadline can be met. If the TPM is idle, put
// gives it to the caller instead, and returns alone = true.
func (q *Queue[W]) put(j *Job[W]) (alone bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false, ErrClosed
	}
	j.since = time.Now()
	j.takes = q.costs[j.Cost]
	if !q.taken {
		q.taken, q.busy, j.begun = true, j, j.since
		return true, nil
	}
	if q.size >= q.limit {
		return false, ErrFull
	}
	if deadline, ok := j.Ctx.Deadline(); ok && q.expectedBegin(j).After(deadline) {
		return false, ErrLate
	}
	j.done = make(chan error, 1)
	q.waiting[j.Priority] = append(q.waiting[j.Priority], j)
	q.size++
	q.ahead[j.Priority] += j.takes
	return false, nil
}

// runOwn runs the job of the caller that has the TPM, and then gives the TPM to the
// serving goroutine if jobs wait by then.
func (q *Queue[W]) runOwn(j *Job[W]) (err error) {
	defer func() {
		if q.release(j, err) {
			q.handOver()
		}
	}()
	return q.run(j)
}

// release releases the TPM, unless a job waits. It returns whether one does.
func (q *Queue[W]) release(j *Job[W], err error) (waited bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.end(j, err)
	q.taken = q.size > 0
	return q.taken
}

// Begin records that the TPM works on a job that TakeIf returned.
func (q *Queue[W]) Begin(j *Job[W]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy, j.begun = j, time.Now()
}

// Finish ends a job whose caller waits.
func (q *Queue[W]) Finish(j *Job[W], err error) {
	q.mu.Lock()
	q.end(j, err)
	q.mu.Unlock()
	j.done <- err
}

// end records that a job is done, and updates the expected duration of its kind.
func (q *Queue[W]) end(j *Job[W], err error) {
	if err == nil {
		took := time.Since(j.begun)
		if old, ok := q.costs[j.Cost]; ok {
			took = old + (took-old)/4
		}
		q.costs[j.Cost] = took
	}
	if q.busy == j {
		q.busy = nil
	}
	q.noteSlow(j)
}

// Close rejects new jobs. No job runs at this point.
func (q *Queue[W]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// Waiting returns the number of waiting jobs.
func (q *Queue[W]) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.size
}
