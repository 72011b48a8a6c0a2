//go:build cgo && unix

package bench

import (
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"strongroom.example/internal/testtoken"
)

// drive makes calls for a duration from a number of goroutines, each with a buffer of its
// own.
func drive(b *testing.B, turn time.Duration, callers int, call func(dst []byte) error) testtoken.Cost {
	b.Helper()
	var done atomic.Int64
	var all sync.WaitGroup
	start, cpu := time.Now(), processor(b)
	for range callers {
		all.Go(func() {
			dst, n := make([]byte, 0, 2048), int64(0)
			for ; time.Since(start) < turn; n++ {
				if err := call(dst); err != nil {
					b.Error(err)
					return
				}
			}
			done.Add(n)
		})
	}
	all.Wait()
	n := time.Duration(max(1, done.Load()))
	return testtoken.Cost{Wall: time.Since(start) / n, CPU: (processor(b) - cpu) / n}
}

// processor returns the processor time of this process.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
