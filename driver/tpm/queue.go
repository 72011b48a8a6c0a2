package tpm

import (
	"context"
	"sync"
	"time"

	"strongroom.example/driver"
)

// A lane is the priority of a call.
type lane uint8

const (
	urgent   lane = iota // unlocking a vault, and reading the TPM's state
	ordinary             // using keys
	slow                 // generating keys, which takes seconds on a chip
	lanes
)

// A job is a call that uses the TPM.
type job struct {
	ctx   context.Context
	lane  lane
	cost  string    // the name of the work, for the estimate of its duration
	key   *resident // the key that it uses, or nil
	act   func(*device) error
	ask   *question // replaces act if not nil
	done  chan error
	since time.Time
	begun time.Time
	takes time.Duration // the expected duration
}

// A queue holds jobs until the TPM is free, and determines which goroutine has the TPM: a
// caller that finds the TPM idle runs its own job; otherwise the serving goroutine runs
// all waiting jobs. Its methods are safe for concurrent use.
type queue struct {
	limit   int
	perform func(*job) error // runs a job; called by the goroutine that has the TPM
	launch  func() *flight   // begins the next job as a flow, if possible

	mu      sync.Mutex
	taken   bool // a goroutine has the TPM
	waiting [lanes][]*job
	size    int
	busy    *job // the job that the TPM works on
	costs   map[string]time.Duration
	ahead   [lanes]time.Duration // the expected duration of all waiting jobs
	slowed  time.Time            // when the last slow job began or ended
	closed  bool

	turn chan *flight // gives the TPM to the serving goroutine, with the question that was already sent, if any
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, costs: make(map[string]time.Duration), turn: make(chan *flight, 1)}
}

// do runs a job in the TPM, and waits for it. If the context ends first, do removes a job
// that still waits; it waits for the end of a job that has begun.
func (q *queue) do(op string, j *job) error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	alone, err := q.put(op, j)
	if err != nil {
		return err
	}
	if alone {
		return classify(op, q.serveSelf(j))
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

// put queues a job, if there is room and its deadline can be met. If the TPM is idle, put
// gives it to the caller instead, and returns alone = true.
func (q *queue) put(op string, j *job) (alone bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false, fault(op, driver.Unavailable, errClosed)
	}
	j.since = time.Now()
	j.takes = q.costs[j.cost]
	if !q.taken {
		q.taken, q.busy, j.begun = true, j, j.since
		return true, nil
	}
	if q.size >= q.limit {
		return false, fault(op, driver.Throttled, errBusy)
	}
	if deadline, ok := j.ctx.Deadline(); ok && q.wait(j).After(deadline) {
		return false, fault(op, driver.Throttled, errLate)
	}
	j.done = make(chan error, 1)
	q.waiting[j.lane] = append(q.waiting[j.lane], j)
	q.size++
	q.ahead[j.lane] += j.takes
	return false, nil
}

// serveSelf runs the job of the caller that has the TPM, and then gives the TPM to the
// serving goroutine if jobs wait by then. It sends the next question first, if possible,
// because the goroutine takes time to wake.
func (q *queue) serveSelf(j *job) (err error) {
	defer func() {
		if q.leave(j, err) {
			q.turn <- q.launch()
		}
	}()
	return q.perform(j)
}

// leave releases the TPM, unless a job waits. It returns whether one does.
func (q *queue) leave(j *job, err error) (waited bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.end(j, err)
	q.taken = q.size > 0
	return q.taken
}

// finish ends a job whose caller waits.
func (q *queue) finish(j *job, err error) {
	q.mu.Lock()
	q.end(j, err)
	q.mu.Unlock()
	j.done <- err
}

// end records that a job is done, and updates the expected duration of its kind.
func (q *queue) end(j *job, err error) {
	if err == nil {
		took := time.Since(j.begun)
		if old, ok := q.costs[j.cost]; ok {
			took = old + (took-old)/4
		}
		q.costs[j.cost] = took
	}
	if q.busy == j {
		q.busy = nil
	}
	q.note(j)
}

// close rejects new jobs. No job runs at this point.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	close(q.turn)
}

func (q *queue) waitingNow() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.size
}
