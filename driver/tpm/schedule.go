package tpm

import "time"

// wait estimates when the TPM will begin a job that is queued now: after the present job
// and all waiting jobs of this and more urgent lanes.
func (q *queue) wait(j *job) time.Time {
	at := j.since
	if q.busy != nil {
		at = at.Add(max(0, q.busy.takes-at.Sub(q.busy.begun)))
	}
	for l := range j.lane + 1 {
		at = at.Add(q.ahead[l])
	}
	if j.lane == ordinary && q.overdue(at) {
		at = at.Add(q.waiting[slow][0].takes)
	}
	return at
}

// overdue reports whether, at the given time, a slow job will have waited long enough to
// run before ordinary ones. That holds for one slow job at a time, with a pause for
// ordinary jobs in between.
func (q *queue) overdue(by time.Time) bool {
	w := q.waiting[slow]
	return len(w) > 0 && by.Sub(w[0].since) > maxDefer && by.Sub(q.slowed) > maxDefer
}

// remove removes a job from the queue. It returns false if the job has already begun.
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
	q.ahead[l] -= j.takes
	return j
}

// Jobs whose key is not loaded wait behind jobs whose key is loaded, for maxSkip or for
// maxSkips times their duration. Slow jobs wait behind ordinary ones for maxDefer.
const (
	maxSkip  = 50 * time.Millisecond
	maxSkips = 8
	maxDefer = 10 * time.Second
)

// next begins the next job. If none waits it returns nil and releases the TPM.
func (q *queue) next(loaded func(*resident) bool) *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, i := q.choose(loaded)
	if i < 0 {
		q.taken = false
		return nil
	}
	j := q.take(l, i)
	q.busy, j.begun = j, time.Now()
	q.note(j)
	return j
}

// note records the time at which a slow job had the TPM.
func (q *queue) note(j *job) {
	if j.lane == slow {
		q.slowed = time.Now()
	}
}

// peek removes the next job from the queue without beginning it, if it is of a kind.
func (q *queue) peek(loaded func(*resident) bool, kind func(*job) bool) *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, i := q.choose(loaded)
	if i < 0 || !kind(q.waiting[l][i]) {
		return nil
	}
	return q.take(l, i)
}

// begin records that the TPM works on a job.
func (q *queue) begin(j *job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy, j.begun = j, time.Now()
}

// choose returns the next job: by lane and, within a lane, jobs whose key is loaded
// first, within the limits above. It returns a negative index if no job waits.
func (q *queue) choose(loaded func(*resident) bool) (lane, int) {
	for l := range lanes {
		w := q.waiting[l]
		if len(w) == 0 {
			continue
		}
		if l == ordinary && q.overdue(time.Now()) {
			return slow, 0
		}
		if time.Since(w[0].since) < max(maxSkip, maxSkips*w[0].takes) {
			for i, j := range w {
				if j.key != nil && loaded(j.key) {
					return l, i
				}
			}
		}
		return l, 0
	}
	return 0, -1
}
