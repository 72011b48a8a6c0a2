package queue

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// busyQueue returns a queue whose TPM is in use, with known durations of jobs.
func busyQueue(t *testing.T) *Queue[struct{}] {
	t.Helper()
	q := New(100, Server[struct{}]{})
	q.costs["make"], q.costs["use"] = 8*time.Second, 100*time.Millisecond
	if alone, err := q.put(newJob(t.Context(), Ordinary)); !alone || err != nil {
		t.Fatalf("put of a job on an idle TPM: %v", err)
	}
	return q
}

func newJob(ctx context.Context, p Priority) *Job[struct{}] {
	cost := map[Priority]string{Urgent: "look", Ordinary: "use", Slow: "make"}[p]
	return &Job[struct{}]{Ctx: ctx, Priority: p, Cost: cost}
}

// putWaited queues a job that has waited for a given time.
func putWaited(t *testing.T, q *Queue[struct{}], p Priority, waited time.Duration) {
	t.Helper()
	j := newJob(t.Context(), p)
	if alone, err := q.put(j); alone || err != nil {
		t.Fatalf("put on a busy TPM: alone %v, %v", alone, err)
	}
	j.since = j.since.Add(-waited)
}

// putWithin queues an ordinary job with a deadline.
func putWithin(t *testing.T, q *Queue[struct{}], deadline time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	_, err := q.put(newJob(ctx, Ordinary))
	return err
}

// TestSlowIsNotAhead queues key generations. They must not delay a use of a key.
func TestSlowIsNotAhead(t *testing.T) {
	q := busyQueue(t)
	for range 3 {
		putWaited(t, q, Slow, 0)
	}
	if err := putWithin(t, q, 5*time.Second); err != nil {
		t.Errorf("put rejected an ordinary job that would be next: %v", err)
	}
	if j := q.Next(); j.Priority != Ordinary {
		t.Errorf("a job of priority %d is next", j.Priority)
	}
}

// TestOverdueIsAhead checks that the estimate includes one key generation that precedes
// all other jobs, because it has waited too long.
func TestOverdueIsAhead(t *testing.T) {
	q := busyQueue(t)
	putWaited(t, q, Slow, maxDefer+time.Second)
	if err := putWithin(t, q, 5*time.Second); !errors.Is(err, ErrLate) {
		t.Errorf("put behind a key generation of 8 seconds: %v, want ErrLate", err)
	}
	putWaited(t, q, Ordinary, 0)
	if j := q.Next(); j.Priority != Slow {
		t.Errorf("a job of priority %d is next", j.Priority)
	}
}

// TestOverdueMakesWay queues many overdue key generations. An urgent job must precede
// them, and only one of them at a time may precede ordinary jobs.
func TestOverdueMakesWay(t *testing.T) {
	q := busyQueue(t)
	for range 3 {
		putWaited(t, q, Slow, maxDefer+time.Second)
	}
	for _, p := range []Priority{Ordinary, Urgent, Ordinary} {
		putWaited(t, q, p, 0)
	}
	var order []Priority
	for range 6 {
		order = append(order, q.Next().Priority)
	}
	if want := []Priority{Urgent, Slow, Ordinary, Ordinary, Slow, Slow}; !slices.Equal(order, want) {
		t.Errorf("priorities %d, want %d", order, want)
	}
}
