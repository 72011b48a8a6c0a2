package tasks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// queue is a Queue whose time the test sets, and which records what it runs.
type queue struct {
	*Queue
	mu   sync.Mutex
	now  time.Time
	ran  []string
	fail map[string]bool
	then func(path string)
}

func newQueue() *queue {
	q := &queue{now: time.Unix(1e9, 0), fail: map[string]bool{}}
	q.Queue = New(Config{Timeout: time.Minute, Now: func() time.Time {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.now
	}, DriverOf: func(_ context.Context, path string) string { return path[:1] }, Run: q.run})
	return q
}

func (q *queue) run(ctx context.Context, path string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ran = append(q.ran, path)
	if q.fail[path] {
		return errors.New("the device is absent")
	}
	if q.then != nil {
		q.then(path)
	}
	return nil
}

// after lets d pass and returns what runs by that, in order.
func (q *queue) after(ctx context.Context, d time.Duration) []string {
	q.mu.Lock()
	q.now, q.ran = q.now.Add(d), nil
	q.mu.Unlock()
	q.RunAllDue(ctx)
	slices.Sort(q.ran)
	return q.ran
}

// TestQueue: a task runs when it is due and once, a failed task and those after it in its
// group run a minute later, and a task may schedule others that are due.
func TestQueue(t *testing.T) {
	q, ctx := newQueue(), t.Context()
	start := q.now
	check := func(d time.Duration, want ...string) {
		t.Helper()
		if got := q.after(ctx, d); !slices.Equal(got, want) {
			t.Errorf("after %v %q ran, want %q", q.now.Sub(start), got, want)
		}
	}
	for i, path := range []string{"a1", "b1", "c1"} {
		q.Schedule(path, start.Add(time.Duration(i+1)*time.Hour))
	}
	check(time.Hour - 1)
	check(1, "a1")
	q.Schedule("c1", time.Time{})
	q.Schedule("b2", start.Add(90*time.Minute))
	check(30*time.Minute, "b2")
	check(time.Hour, "b1")
	check(1000 * time.Hour)

	for _, path := range []string{"d1", "d2", "e1"} {
		q.Schedule(path, q.now)
	}
	q.fail["d1"], q.fail["d2"] = true, true
	if got := q.after(ctx, 0); len(got) != 2 || got[1] != "e1" {
		t.Errorf("%q ran, want one task of d and e1", got)
	}
	check(RetryDelay - 1)
	q.fail = nil
	check(1, "d1", "d2")

	q.then = func(path string) {
		if path == "f1" {
			q.Schedule("f2", start)
		}
	}
	q.Schedule("f1", q.now)
	check(0, "f1", "f2")
}

// TestOwnTasks: a task that begins with Own has no time limit, and delays no other.
func TestOwnTasks(t *testing.T) {
	begun, end := make(chan context.Context), make(chan bool)
	ran := make(chan string, 1)
	q := New(Config{
		Timeout: time.Minute, Now: time.Now,
		DriverOf: func(_ context.Context, path string) string { return "" },
		Run: func(ctx context.Context, path string) error {
			if path == Own+"backup" {
				begun <- ctx
				<-end
			} else {
				ran <- path
			}
			return nil
		},
	})
	q.Schedule(Own+"backup", time.Now())
	q.RunDue(t.Context())
	if _, limited := (<-begun).Deadline(); limited {
		t.Error("the task has a time limit")
	}
	q.Schedule(Own+"backup", time.Now())
	q.Schedule(Own+"scrub", time.Now())
	q.RunDue(t.Context())
	if got := <-ran; got != Own+"scrub" {
		t.Errorf("%q ran beside the backup", got)
	}
	end <- true
	done := make(chan bool)
	go func() { q.RunAllDue(t.Context()); close(done) }()
	<-begun
	end <- true
	<-done
	q.Wait()
}

func BenchmarkRunDue(b *testing.B) {
	for _, due := range []bool{false, true} {
		b.Run(fmt.Sprintf("due=%v", due), func(b *testing.B) {
			q := newQueue()
			for i := range 10_000 {
				q.Schedule(fmt.Sprint("import/", i), q.now.Add(time.Hour))
			}
			for range b.N {
				if due {
					q.Schedule("deletion/1", q.now)
				}
				q.RunAllDue(b.Context())
			}
		})
	}
}
