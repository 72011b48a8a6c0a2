package queue

import "time"

// Jobs whose key is not loaded wait behind jobs whose key is loaded, for maxSkip or for
// maxSkips times their duration. Slow jobs wait behind ordinary ones for maxDefer.
const (
	maxSkip  = 50 * time.Millisecond
	maxSkips = 8
	maxDefer = 10 * time.Second
)

// Next begins the next job. If none waits it returns nil and releases the TPM.
func (q *Queue[W]) Next() *Job[W] {
	q.mu.Lock()
	defer q.mu.Unlock()
	p, i := q.choose()
	if i < 0 {
		q.taken = false
		return nil
	}
	j := q.take(p, i)
	q.busy, j.begun = j, time.Now()
	q.noteSlow(j)
	return j
}

// TakeIf removes the next job from the queue without beginning it, if it fits. It returns
// nil if no job waits or the next one does not fit.
func (q *Queue[W]) TakeIf(fits func(*Job[W]) bool) *Job[W] {
	q.mu.Lock()
	defer q.mu.Unlock()
	p, i := q.choose()
	if i < 0 || !fits(q.waiting[p][i]) {
		return nil
	}
	return q.take(p, i)
}

// choose returns the next job: by priority and, within a priority, jobs whose key is
// loaded first, within the limits above. It returns a negative index if no job waits.
func (q *Queue[W]) choose() (Priority, int) {
	for p := range priorities {
		w := q.waiting[p]
		if len(w) == 0 {
			continue
		}
		if p == Ordinary && q.overdue(time.Now()) {
			return Slow, 0
		}
		if time.Since(w[0].since) < max(maxSkip, maxSkips*w[0].takes) {
			for i, j := range w {
				if j.Key != nil && j.Key.Loaded() {
					return p, i
				}
			}
		}
		return p, 0
	}
	return 0, -1
}

// remove removes a job from the queue. It returns false if the job has already begun.
func (q *Queue[W]) remove(j *Job[W]) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, other := range q.waiting[j.Priority] {
		if other == j {
			q.take(j.Priority, i)
			return true
		}
	}
	return false
}

// take removes job i of a priority.
func (q *Queue[W]) take(p Priority, i int) *Job[W] {
	j := q.waiting[p][i]
	q.waiting[p] = append(q.waiting[p][:i], q.waiting[p][i+1:]...)
	q.size--
	q.ahead[p] -= j.takes
	return j
}

// expectedBegin estimates when the TPM will begin a job that is queued now: after the
// present job and all waiting jobs of this and more urgent priorities.
func (q *Queue[W]) expectedBegin(j *Job[W]) time.Time {
	at := j.since
	if q.busy != nil {
		at = at.Add(max(0, q.busy.takes-at.Sub(q.busy.begun)))
	}
	for p := range j.Priority + 1 {
		at = at.Add(q.ahead[p])
	}
	if j.Priority == Ordinary && q.overdue(at) {
		at = at.Add(q.waiting[Slow][0].takes)
	}
	return at
}

// overdue reports whether, at the given time, a slow job will have waited long enough to
// run before ordinary ones. That holds for one slow job at a time, with a pause for
// ordinary jobs in between.
func (q *Queue[W]) overdue(by time.Time) bool {
	w := q.waiting[Slow]
	return len(w) > 0 && by.Sub(w[0].since) > maxDefer && by.Sub(q.slowed) > maxDefer
}

// noteSlow records the time at which a slow job had the TPM.
func (q *Queue[W]) noteSlow(j *Job[W]) {
	if j.Priority == Slow {
		q.slowed = time.Now()
	}
}
