package tpm

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"strongroom.example/driver"
)

// none reports that no key is loaded.
func none(*resident) bool { return false }

// busyQueue returns a queue whose TPM is in use, with known durations of jobs.
func busyQueue(t *testing.T) *queue {
	t.Helper()
	q := newQueue(100)
	q.costs["make"], q.costs["use"] = 8*time.Second, 100*time.Millisecond
	if alone, err := q.put("", &job{ctx: context.Background(), lane: ordinary, cost: "use"}); !alone || err != nil {
		t.Fatalf("put of a job on an idle TPM: %v", err)
	}
	return q
}

// waits queues a job that has waited for a given time.
func (q *queue) waits(t *testing.T, l lane, waited time.Duration) {
	t.Helper()
	cost := map[lane]string{urgent: "look", ordinary: "use", slow: "make"}[l]
	j := &job{ctx: context.Background(), lane: l, cost: cost}
	if _, err := q.put("", j); err != nil {
		t.Fatal(err)
	}
	j.since = j.since.Add(-waited)
}

// within queues an ordinary job with a deadline.
func (q *queue) within(t *testing.T, deadline time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	_, err := q.put("", &job{ctx: ctx, lane: ordinary, cost: "use"})
	return err
}

// TestSlowIsNotAhead queues key generations. They must not delay a use of a key.
func TestSlowIsNotAhead(t *testing.T) {
	q := busyQueue(t)
	for range 3 {
		q.waits(t, slow, 0)
	}
	if err := q.within(t, 5*time.Second); err != nil {
		t.Errorf("put rejected an ordinary job that would be next: %v", err)
	}
	if j := q.next(none); j.lane != ordinary {
		t.Errorf("lane %d is next", j.lane)
	}
}

// TestOverdueIsAhead checks that the estimate includes one key generation that precedes
// all other jobs, because it has waited too long.
func TestOverdueIsAhead(t *testing.T) {
	q := busyQueue(t)
	q.waits(t, slow, maxDefer+time.Second)
	if err := q.within(t, 5*time.Second); !errors.Is(err, driver.Throttled) {
		t.Errorf("put behind a key generation of 8 seconds: %v, want Throttled", err)
	}
	q.waits(t, ordinary, 0)
	if j := q.next(none); j.lane != slow {
		t.Errorf("lane %d is next", j.lane)
	}
}

// TestOverdueMakesWay queues many overdue key generations. An urgent job must precede
// them, and only one of them at a time may precede ordinary jobs.
func TestOverdueMakesWay(t *testing.T) {
	q := busyQueue(t)
	for range 3 {
		q.waits(t, slow, maxDefer+time.Second)
	}
	q.waits(t, ordinary, 0)
	q.waits(t, urgent, 0)
	q.waits(t, ordinary, 0)
	var order []lane
	for range 6 {
		order = append(order, q.next(none).lane)
	}
	if want := []lane{urgent, slow, ordinary, ordinary, slow, slow}; !slices.Equal(order, want) {
		t.Errorf("lanes %d, want %d", order, want)
	}
}
