package drivertest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"strongroom.example/driver"
)

const callers = 16

// concurrent uses every key from many goroutines through one handle. At the same time
// they generate, open and destroy keys of their own.
func concurrent(t tb, s *subject) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, row := range s.samples() {
		k := makeKey(t, s.Driver, row)
		shared := opening{k, openKey[driver.Key](t, s.Driver, k)}
		var users sync.WaitGroup
		for caller := range callers {
			users.Go(func() {
				for range 4 {
					if err := use(context.Background(), k, shared.opened); err != nil {
						t.Errorf("%v: caller %d: %v", row.Spec, caller, err)
					}
				}
			})
		}
		if row.Spec.Algorithm.ModulusBits() == 0 {
			for range callers {
				all.Go(func() { lifecycle(t, s, k) })
			}
		}
		users.Wait()
		closeKey(t, shared.opened)
		s.discard(t, k)
	}
}

// lifecycle generates, uses and destroys a key of the same spec as like. It runs outside
// the test's goroutine, and therefore must not end the test.
func lifecycle(t tb, s *subject, like createdKey) {
	ctx := context.Background()
	k := createdKey{id: freshID(), row: like.row}
	var err error
	if k.created, err = s.GenerateKey(ctx, k.id, k.row.Spec); err != nil {
		t.Errorf("%v: concurrent GenerateKey: %v", k.row.Spec, err)
		return
	}
	works(t, s.Driver, k, "generated concurrently")
	s.discard(t, k)
}

const (
	// closeLimit is how long Close may wait for running calls before the check treats it
	// as hung. Some chips take a minute to generate an RSA key.
	closeLimit = 2 * time.Minute
	// closeGrace is how long the check may take, on a busy machine, to see that a call has
	// returned. A Close that returns up to this long before a call is not found.
	closeGrace = 5 * time.Second
	// closePause separates calls, so that fast calls do not starve Close.
	closePause = 200 * time.Microsecond
)

// closeUnderLoad calls closing while lists of calls run, each list in a goroutine of its
// own.
func closeUnderLoad(t tb, lists [][]operation, closing func() error) {
	t.Helper()
	var closed atomic.Bool
	var started sync.WaitGroup
	ends := make(chan ending, len(lists))
	for _, list := range lists {
		started.Add(1)
		go func() {
			started.Done()
			ends <- callUntilClosed(list, &closed)
		}()
	}
	started.Wait()
	time.Sleep(30 * time.Millisecond)
	if !closeWithin(t, closing, closeLimit) {
		return
	}
	until := time.Now()
	closed.Store(true)
	for range lists {
		end, ok := receive(ends)
		if !ok {
			t.Errorf("a call does not return after Close")
			return
		}
		wantClass(t, end.err, "a call during Close", driver.Unavailable)
		for _, c := range end.last {
			if c.from.Before(until) && c.to.After(until.Add(closeGrace)) {
				t.Errorf("Close returned %v before %s, which was running", c.to.Sub(until), c.name)
			}
		}
	}
}

// A span is the duration of one call.
type span struct {
	name     string
	from, to time.Time
}

// An ending is the end of a loop of calls: its last two calls, and the error of the last.
type ending struct {
	last [2]span
	err  error
}

// callUntilClosed runs the calls in turn until one fails. If calls continue to succeed
// after Close, it returns without an error.
func callUntilClosed(list []operation, closed *atomic.Bool) (end ending) {
	for {
		for _, op := range list {
			late, from := closed.Load(), time.Now()
			end.err = op.call(context.Background())
			end.last = [2]span{end.last[1], {op.name, from, time.Now()}}
			if end.err != nil || late {
				return end
			}
			time.Sleep(closePause)
		}
	}
}

func receive(ends <-chan ending) (ending, bool) {
	select {
	case end := <-ends:
		return end, true
	case <-time.After(closeLimit):
		return ending{}, false
	}
}

// closeWithin calls closing, and reports whether it returned in time.
func closeWithin(t tb, closing func() error, limit time.Duration) bool {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- closing() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Close: %v", err)
		}
		return true
	case <-time.After(limit):
		t.Errorf("Close hangs")
		return false
	}
}
