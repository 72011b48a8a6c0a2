package poll_test

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"strongroom.example/internal/testing/poll"
)

// TestWithin: Within returns as soon as the condition holds.
func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		took := poll.Within(t, time.Hour, "a minute passes", func() bool { return time.Since(begin) >= time.Minute })
		if took != time.Minute {
			t.Errorf("Within took %v, want a minute", took)
		}
	})
}

// recorder is a test that notes its failure.
type recorder struct {
	testing.TB
	failed string
}

func (*recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failed = format
	for _, a := range args {
		if s, ok := a.(string); ok {
			r.failed += " " + s
		}
	}
	runtime.Goexit()
}

// TestUntilFails: a condition that never holds fails the test after the limit, with its
// name.
func TestUntilFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, begin := &recorder{}, time.Now()
		done := make(chan time.Duration)
		go func() {
			defer func() { done <- time.Since(begin) }()
			poll.Until(r, "pigs fly", func() bool { return false })
		}()
		if took := <-done; took < poll.Limit || took > poll.Limit+time.Second || !strings.Contains(r.failed, "pigs fly") {
			t.Errorf("Until ended after %v with %q", took, r.failed)
		}
	})
}

// TestLag measures in a bubble, where timers are never late.
func TestLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lag := poll.Lag()
		time.Sleep(time.Second)
		if late := lag(); late != 0 {
			t.Errorf("timers are %v late, want 0", late)
		}
	})
}
