package queue

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestCanceledJobIsRemoved ends the context of a waiting job.
func TestCanceledJobIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := busyQueue(t)
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- q.Do(newJob(ctx, Ordinary)) }()
		synctest.Wait()
		if n := q.Waiting(); n != 1 {
			t.Fatalf("%d jobs wait, want 1", n)
		}
		cancel()
		if err := <-result; err != context.Canceled || q.Waiting() != 0 {
			t.Errorf("Do with a canceled context: %v, and %d jobs wait, want context.Canceled and none", err, q.Waiting())
		}
	})
}

// TestLateJobIsRejectedAtOnce queues jobs, and one whose deadline is before its turn.
func TestLateJobIsRejectedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := busyQueue(t)
		for range 5 {
			putWaited(t, q, Ordinary, 0)
		}
		from := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if err := q.Do(newJob(ctx, Ordinary)); !errors.Is(err, ErrLate) || time.Since(from) != 0 {
			t.Errorf("Do of a late job: %v after %v, want ErrLate at once", err, time.Since(from))
		}
		ctx, cancel = context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		if alone, err := q.put(newJob(ctx, Ordinary)); alone || err != nil {
			t.Errorf("put of a job whose turn is before its deadline: alone %v, %v", alone, err)
		}
	})
}

// TestLimits checks the errors of a full queue and of a closed one.
func TestLimits(t *testing.T) {
	q := busyQueue(t)
	q.limit = 2
	putWaited(t, q, Ordinary, 0)
	putWaited(t, q, Slow, 0)
	if err := q.Do(newJob(t.Context(), Urgent)); !errors.Is(err, ErrFull) {
		t.Errorf("Do on a full queue: %v, want ErrFull", err)
	}
	q.Close()
	if err := q.Do(newJob(t.Context(), Urgent)); !errors.Is(err, ErrClosed) {
		t.Errorf("Do on a closed queue: %v, want ErrClosed", err)
	}
}

// TestWaitingJobsAreHandedOver checks that a caller that runs its own job hands the TPM
// over if another job waits by then, and that the server runs that job.
func TestWaitingJobsAreHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := make(chan struct{}, 1)
		q := New(10, Server[time.Duration]{
			Run:      func(j *Job[time.Duration]) error { <-time.After(j.Work); return nil },
			HandOver: func() { turn <- struct{}{} },
		})
		served := 0
		go func() {
			for range turn {
				for j := q.Next(); j != nil; j = q.Next() {
					served++
					q.Finish(j, nil)
				}
			}
		}()
		first := make(chan error, 1)
		go func() { first <- q.Do(&Job[time.Duration]{Ctx: t.Context(), Priority: Ordinary, Work: time.Second}) }()
		synctest.Wait()
		if err := q.Do(&Job[time.Duration]{Ctx: t.Context(), Priority: Ordinary}); err != nil || <-first != nil {
			t.Errorf("Do: %v", err)
		}
		synctest.Wait()
		if served != 1 {
			t.Errorf("the server ran %d jobs, want 1", served)
		}
		close(turn)
	})
}
