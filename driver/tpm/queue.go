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
	ask   *question // what it is instead of act
	done  chan error
	since time.Time
	begun time.Time
	takes time.Duration // what it is expected to take
}

// A queue holds jobs until the TPM gets to them, and says whose the TPM is: that of the
// lone caller who finds it idle and does his own job, or else that of the goroutine which
// does the jobs of all who wait. Its methods are safe for concurrent use.
type queue struct {
	limit   int
	perform func(*job) error // does a job, for whoever has the TPM
	launch  func() *flight   // begins the next one, if nothing stands in its way

	mu      sync.Mutex
	taken   bool // somebody has the TPM
	waiting [lanes][]*job
	size    int
	busy    *job // what the TPM works on
	costs   map[string]time.Duration
	ahead   [lanes]time.Duration // what waiting jobs are expected to take
	slowed  time.Time            // when a slow job had the TPM last
	closed  bool

	turn chan *flight // gives the TPM to the goroutine, with what it works on if anything
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, costs: make(map[string]time.Duration), turn: make(chan *flight, 1)}
}

// do has the TPM do a job, and waits for it. A context takes out a job that waits; once it
// has begun its caller waits for its end.
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

// put queues a job, if there is room and its deadline can be met; or it says that the
// caller is alone, and gives him the TPM.
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

// serveSelf does the job of who has the TPM, and gives it to those who wait by then: at
// work already, if possible, since the goroutine takes a while to wake.
func (q *queue) serveSelf(j *job) (err error) {
	defer func() {
		if q.leave(j, err) {
			q.turn <- q.launch()
		}
	}()
	return q.perform(j)
}

// leave gives the TPM back, unless somebody waits for it.
func (q *queue) leave(j *job, err error) (waited bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.end(j, err)
	q.taken = q.size > 0
	return q.taken
}

// finish ends the job of somebody who waits.
func (q *queue) finish(j *job, err error) {
	q.mu.Lock()
	q.end(j, err)
	q.mu.Unlock()
	j.done <- err
}

// end notes that a job is done, and learns from the time that it took.
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

// close turns new jobs away. None runs any more.
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
