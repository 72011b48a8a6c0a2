package drivertest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"strongroom.example/driver"
)

const (
	// closeLimit is how long Close may wait for running calls before it hangs. Some
	// chips take a minute to make an RSA key.
	closeLimit = 2 * time.Minute
	// closeGrace is how long a call that has left the driver may take to be seen.
	closeGrace = time.Second
	// closePause lies between calls, so that fast ones do not starve the one to Close.
	closePause = 200 * time.Microsecond
)

// closeUnderLoad closes while lists of calls run, each in a goroutine of its own.
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

// A span is one call, in time.
type span struct {
	name     string
	from, to time.Time
}

// An ending is how a loop of calls ended: its last two calls, and the error of the
// later one.
type ending struct {
	last [2]span
	err  error
}

// callUntilClosed calls in turn until one fails. Calls that go on working after Close
// end it without an error.
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

// closeWithin closes, and reports whether it was done in time.
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
