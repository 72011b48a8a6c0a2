// Package poll waits in tests for what another goroutine or process does.
package poll

import "time"

// A Failer ends a test that waits in vain: a testing.TB, or the script of a session.
type Failer interface {
	Fatalf(format string, args ...any)
}

// Limit is how long Until waits. It is far above what any condition takes, because tests
// also run on a machine that is busy.
const Limit = time.Minute

// Until waits until done returns true. If that takes longer than Limit, the test fails and
// ends. what names the condition. The goroutine of the test must call Until.
func Until(t Failer, what string, done func() bool) {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	Within(t, Limit, what, done)
}

// Within is Until with a limit of its own. It returns how long the condition took.
func Within(t Failer, limit time.Duration, what string, done func() bool) time.Duration {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	begin := time.Now()
	for !done() {
		if time.Since(begin) > limit {
			t.Fatalf("waited for %v: %s", limit, what)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(begin)
}

// Lag begins to measure how late timers fire. stop ends the measurement, and returns the
// longest delay: about a millisecond on an idle machine, and more on one that is busy. A test of a
// time adds a multiple of it to its limit.
func Lag() (stop func() time.Duration) {
	end, most := make(chan struct{}), make(chan time.Duration)
	go func() {
		var late time.Duration
		for {
			from := time.Now()
			select {
			case <-end:
				most <- max(late, time.Since(from)-time.Millisecond)
				return
			case <-time.After(time.Millisecond):
				late = max(late, time.Since(from)-time.Millisecond)
			}
		}
	}()
	return func() time.Duration { close(end); return <-most }
}
