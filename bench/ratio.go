package bench

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// Rounds is the number of turns of the operation and its baselines.
const Rounds = 5

// A Ratio compares one operation with its baselines. Each function does the operation
// once, and must be safe for concurrent use.
type Ratio struct {
	// Callers is the number of concurrent callers; 0 means one.
	Callers int
	// Op is the operation. Durable is the raw cryptography with one durable record, Raw
	// without.
	Op, Durable, Raw func() error
}

// Run measures Rounds turns, with b.N calls in total for each function, and reports
// medians: "ops/s" of the operation, and its time divided by those of the baselines
// ("x-raw-durable", "x-raw"). The time per call that the testing package prints is that
// of the operation alone.
func (r Ratio) Run(b *testing.B) {
	b.StopTimer()
	b.ResetTimer()
	calls := max(1, b.N/Rounds)
	var rate, xDurable, xRaw []float64
	for range Rounds {
		b.StartTimer()
		op := r.timed(b, r.Op, calls)
		b.StopTimer()
		durable := r.timed(b, r.Durable, calls)
		raw := r.timed(b, r.Raw, calls)
		rate = append(rate, 1/op)
		xDurable = append(xDurable, op/durable)
		xRaw = append(xRaw, op/raw)
	}
	b.ReportMetric(median(rate), "ops/s")
	b.ReportMetric(median(xDurable), "x-raw-durable")
	b.ReportMetric(median(xRaw), "x-raw")
}

// timed returns the seconds per call, when all callers share the calls.
func (r Ratio) timed(b *testing.B, f func() error, calls int) float64 {
	begin := time.Now()
	if err := share(max(1, r.Callers), calls, f); err != nil {
		b.Fatal(err)
	}
	return max(time.Since(begin).Seconds(), 1e-9) / float64(calls)
}

// share makes the given number of calls, distributed over concurrent callers, and returns
// one of their errors.
func share(callers, calls int, f func() error) error {
	failed := make(chan error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		own := calls / callers
		if i < calls%callers {
			own++
		}
		wg.Go(func() {
			for range own {
				if err := f(); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

// median returns the median of v, which it sorts.
func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
