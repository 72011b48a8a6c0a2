package drivertest

import (
	"fmt"
	"runtime"
	"sync"
)

// A recorder is a tb that records failures instead of failing a test.
type recorder struct {
	mu       sync.Mutex
	failures []string
}

var _ tb = (*recorder)(nil)

func (*recorder) Helper() {}

func (*recorder) Logf(string, ...any) {}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// run runs a check to its end or to its first fatal failure. It records a panic as a
// failure.
func (r *recorder) run(check func()) {
	var done sync.WaitGroup
	done.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				r.Errorf("panic: %v", p)
			}
		}()
		check()
	})
	done.Wait()
}

// first returns the first failure.
func (r *recorder) first() (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failures) == 0 {
		return "", false
	}
	return r.failures[0], true
}
