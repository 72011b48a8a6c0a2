package tpm

import "time"

// wait estimates when the TPM will get to a job that comes now.
func (q *queue) wait(j *job) time.Time {
	at := j.since
	if q.busy != nil {
		at = at.Add(max(0, q.busy.takes-at.Sub(q.begun)))
	}
	if j.lane == urgent {
		return at
	}
	return at.Add(q.ahead)
}

// remove takes a job out, and reports whether it had not begun.
func (q *queue) remove(j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, other := range q.waiting[j.lane] {
		if other == j {
			q.take(j.lane, i)
			return true
		}
	}
	return false
}

func (q *queue) take(l lane, i int) *job {
	j := q.waiting[l][i]
	q.waiting[l] = append(q.waiting[l][:i], q.waiting[l][i+1:]...)
	q.size--
	q.ahead -= j.takes
	return j
}

// Keys that are not loaded wait behind keys that are: for maxSkip, or maxSkips times what
// their job takes. Slow jobs wait behind all others for maxDefer.
const (
	maxSkip  = 50 * time.Millisecond
	maxSkips = 8
	maxDefer = 10 * time.Second
)

// next waits for a job and begins it. Nil: the queue was closed, and is empty.
func (q *queue) next(loaded func(*resident) bool) *job {
	for {
		q.mu.Lock()
		if j := q.choose(loaded); j != nil {
			q.busy, q.begun = j, time.Now()
			q.mu.Unlock()
			return j
		}
		closed := q.closed
		q.mu.Unlock()
		if closed {
			return nil
		}
		<-q.wake
	}
}

// choose picks the next job: by lane, and in a lane those whose key is loaded first,
// within reason.
func (q *queue) choose(loaded func(*resident) bool) *job {
	if w := q.waiting[slow]; len(w) > 0 && time.Since(w[0].since) > maxDefer {
		return q.take(slow, 0)
	}
	for l := range lanes {
		w := q.waiting[l]
		if len(w) == 0 {
			continue
		}
		if time.Since(w[0].since) < max(maxSkip, maxSkips*w[0].takes) {
			for i, j := range w {
				if j.key != nil && loaded(j.key) {
					return q.take(l, i)
				}
			}
		}
		return q.take(l, 0)
	}
	return nil
}
