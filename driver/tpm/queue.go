package tpm

import (
	"context"
	"sync"
	"time"

	"strongroom.example/driver"
)

// A lane is how urgent a call is.
type lane uint8

const (
	urgent   lane = iota // unlocking, and asking how the TPM is
	ordinary             // using keys
	slow                 // making keys: seconds on a chip
	lanes
)

// A job is a call that waits for the TPM.
type job struct {
	ctx   context.Context
	lane  lane
	cost  string    // what kind of work it is, for the estimate of its time
	key   *resident // the key that it uses, or nil
	act   func(*device) error
	done  chan error
	since time.Time
	takes time.Duration // what it is expected to take
}

// A queue holds jobs until the TPM gets to them. Its methods are safe for concurrent
// use.
type queue struct {
	limit int

	mu      sync.Mutex
	waiting [lanes][]*job
	size    int
	busy    *job // what the TPM works on
	begun   time.Time
	costs   map[string]time.Duration
	ahead   time.Duration // what all waiting jobs are expected to take
	wake    chan struct{}
	closed  bool
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, costs: make(map[string]time.Duration), wake: make(chan struct{}, 1)}
}

// do has the TPM do a job, and waits for it. A context ends the wait, not the work.
func (q *queue) do(op string, j *job) error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	j.done = make(chan error, 1)
	if err := q.put(op, j); err != nil {
		return err
	}
	select {
	case err := <-j.done:
		return classify(op, err)
	case <-j.ctx.Done():
	}
	if q.remove(j) {
		return j.ctx.Err()
	}
	return classify(op, <-j.done)
}

// put queues a job, if there is room and its deadline can be met.
func (q *queue) put(op string, j *job) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return fault(op, driver.Unavailable, errClosed)
	}
	if q.size >= q.limit {
		return fault(op, driver.Throttled, errBusy)
	}
	j.since = time.Now()
	if deadline, ok := j.ctx.Deadline(); ok && q.wait(j).After(deadline) {
		return fault(op, driver.Throttled, errLate)
	}
	q.waiting[j.lane] = append(q.waiting[j.lane], j)
	q.size++
	j.takes = q.costs[j.cost]
	q.ahead += j.takes
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return nil
}

// finish ends a job and learns from the time that it took.
func (q *queue) finish(j *job, err error) {
	q.mu.Lock()
	if err == nil {
		took := time.Since(q.begun)
		if old, ok := q.costs[j.cost]; ok {
			took = old + (took-old)/4
		}
		q.costs[j.cost] = took
	}
	q.busy = nil
	q.mu.Unlock()
	j.done <- err
}

// close turns new jobs away. Those that wait are still done.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) waitingNow() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.size
}
