package bench

import (
	"fmt"
	"testing"
	"time"
)

// tick is the length of one iteration of a measurement. A benchmark of N iterations lasts N
// ticks, during which the callers make as many calls as they can.
const tick = 10 * time.Millisecond

// sweep measures an operation with each number of callers, and names the knee.
func sweep(b *testing.B, callers []int, do act) {
	b.Helper()
	var points []point
	for _, n := range callers {
		b.Run(callersName(n), func(b *testing.B) {
			points = append(points, point{n, measurePoint(b, n, do).rate()})
		})
	}
	if len(points) < 3 {
		return
	}
	b.Run("callers=knee", func(b *testing.B) {
		at := knee(points)
		b.ReportMetric(float64(at.callers), "knee-callers")
		b.ReportMetric(at.rate, "knee-ops/s")
		b.ReportMetric(0, "ns/op")
	})
}

// A point is the throughput with a number of callers.
type point struct {
	callers int
	rate    float64
}

// knee returns the point with the fewest callers that has at least nine tenths of the
// highest throughput: more callers wait longer and get no more done.
func knee(points []point) (at point) {
	best := 0.0
	for _, p := range points {
		best = max(best, p.rate)
	}
	for _, p := range points {
		if p.rate >= 0.9*best && (at.callers == 0 || p.callers < at.callers) {
			at = p
		}
	}
	return at
}

// measurePoint measures an operation for the time of the benchmark, and longer if the
// callers have made few calls. It reports the operations a second, percentiles of their
// latency, the number of failed calls, and the 99th percentile of the time that goroutines
// waited for a processor.
func measurePoint(b *testing.B, callers int, do act) result {
	b.Helper()
	l := start(b.Context(), callers, do)
	defer l.stop()
	l.warm(patience)
	before, _ := l.calls()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for b.Loop() {
		<-ticker.C
	}
	l.wait(patience, func() bool { now, _ := l.calls(); return now-before >= uint64(max(10, callers)) })
	r := l.take()
	report(b, r)
	return r
}

// report reports a result. A benchmark without any success fails.
func report(b *testing.B, r result) {
	b.Helper()
	if r.latency.total == 0 {
		b.Fatalf("no call succeeded: %d failed, the first: %v", r.failed(), r.first)
	}
	b.ReportMetric(1e9/r.rate(), "ns/op")
	b.ReportMetric(r.rate(), "ops/s")
	for name, q := range map[string]float64{"p50-ns": 0.5, "p99-ns": 0.99, "p99.9-ns": 0.999} {
		b.ReportMetric(float64(r.latency.quantile(q)), name)
	}
	b.ReportMetric(float64(r.queue99), "queue-p99-ns")
	b.ReportMetric(float64(r.failed()), "errors")
	if r.failed() > 0 {
		b.Logf("%d calls failed (%v), the first: %v", r.failed(), r.errors, r.first)
	}
}

// serial measures an operation that leaves something behind, such as a new key, with one
// caller. undo removes it again, outside of the measured time.
func serial(b *testing.B, do func() error, undo func() error) {
	b.Helper()
	r := result{callers: 1}
	for b.Loop() {
		begun := time.Now()
		err := do()
		took := time.Since(begun)
		b.StopTimer()
		if err != nil {
			b.Fatal(err)
		}
		r.latency.add(took)
		r.wall += took
		if err := undo(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	report(b, r)
}

func callersName(n int) string { return fmt.Sprintf("callers=%d", n) }
