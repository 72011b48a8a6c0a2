package bench

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"strongroom.example/vault"
)

// intervals is the number of intervals of a soak, and soakCallers its number of callers.
const (
	intervals   = 60
	soakCallers = 8
)

// edges are the upper ends of the buckets in which a soak reports latencies over time.
var edges = []time.Duration{
	20 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 10 * time.Minute,
}

// Soak uses the vault over the device for a duration, with 8 callers: each calls, in turn,
// every operation that the device's keys allow. It reports each sixtieth of the time with
// the number of calls for each range of latency, and then the whole:
//
//   - drift-rate and drift-p99: throughput and p99 of the last tenth, divided by those of
//     the first.
//   - leaked-sessions, leaked-files and leaked-goroutines: those that are there after the
//     soak, and were not at its beginning. Files of the vault's store are not counted;
//     sessions are if Device.Sessions is set.
//   - heap-bytes: the live heap after the soak.
//   - errors, and errors:CLASS for each class.
//
// b.N does not matter; run it with -benchtime 1x.
func (d Device) Soak(b *testing.B, duration time.Duration) {
	m, err := open(d)
	if err != nil {
		b.Fatal(err)
	}
	defer m.close()
	m.soak(b, duration)
}

func (m *opened) soak(b *testing.B, duration time.Duration) {
	b.Helper()
	b.Run(m.name(), func(b *testing.B) {
		v := newVault(b, m)
		l := start(b.Context(), soakCallers, v.mix(b, m))
		defer l.stop()
		l.warm(patience)
		before, err := m.held(v)
		if err != nil {
			b.Fatal(err)
		}
		tick := time.NewTicker(duration / intervals)
		defer tick.Stop()
		var list []result
		for i := range intervals {
			b.Run(fmt.Sprintf("interval=%02d", i+1), func(b *testing.B) {
				<-tick.C
				r := l.take()
				reportSoak(b, r)
				list = append(list, r)
			})
		}
		l.stop()
		after, err := m.held(v)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("interval=all", func(b *testing.B) { reportWhole(b, list, before, after) })
	})
}

// mix returns an operation that does, call by call, all that the device's keys allow.
func (v vaultOn) mix(b *testing.B, m *opened) act {
	b.Helper()
	symmetric := v.key(b, vault.KeyOptions{})
	acts := []act{v.encrypt(symmetric, 1024), v.decrypt(b, symmetric, 1024), v.generateDataKey(symmetric)}
	for _, row := range m.info.Specs {
		if o, ok := optionsOf(row.Spec); ok && inLayers(row.Spec.Algorithm) {
			acts = append(acts, v.keyLayers(b, m, row, layerAlgorithm(row), o).vault)
		}
	}
	next := make(chan int, 1)
	next <- 0
	return func(ctx context.Context, dst []byte) error {
		i := <-next
		next <- (i + 1) % len(acts)
		return acts[i](ctx, dst)
	}
}

// resources are what a program can leak.
type resources struct{ sessions, files, goroutines int }

func (m *opened) held(v vaultOn) (r resources, err error) {
	r.files, r.goroutines = openFiles(v.dir), runtime.NumGoroutine()
	if m.Sessions != nil {
		r.sessions, err = m.Sessions()
	}
	return r, err
}

// reportSoak reports an interval, which may have no success: the soak goes on.
func reportSoak(b *testing.B, r result) {
	b.Helper()
	b.ReportMetric(r.rate(), "ops/s")
	for name, q := range map[string]float64{"p50-ns": 0.5, "p99-ns": 0.99, "p99.9-ns": 0.999} {
		b.ReportMetric(float64(r.latency.quantile(q)), name)
	}
	b.ReportMetric(float64(r.latency.max), "max-ns")
	b.ReportMetric(float64(r.failed()), "errors")
	b.ReportMetric(0, "ns/op")
	below := uint64(0)
	for _, edge := range edges {
		if n := r.latency.upTo(edge); n > below {
			b.ReportMetric(float64(n-below), "calls<="+edge.String())
			below = n
		}
	}
}

func reportWhole(b *testing.B, list []result, before, after resources) {
	b.Helper()
	tenth := max(1, len(list)/10)
	first, last, all := sum(list[:tenth]), sum(list[len(list)-tenth:]), sum(list)
	reportSoak(b, all)
	b.ReportMetric(last.rate()/max(first.rate(), 1e-9), "drift-rate")
	b.ReportMetric(float64(last.latency.quantile(0.99))/max(float64(first.latency.quantile(0.99)), 1), "drift-p99")
	b.ReportMetric(float64(after.sessions-before.sessions), "leaked-sessions")
	b.ReportMetric(float64(after.files-before.files), "leaked-files")
	b.ReportMetric(float64(after.goroutines-before.goroutines+soakCallers), "leaked-goroutines")
	for class, n := range all.errors {
		b.ReportMetric(float64(n), "errors:"+nameOf(class))
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc), "heap-bytes")
	if all.first != nil {
		b.Logf("the first error: %v", all.first)
	}
}

// sum returns the results of a time as one.
func sum(list []result) (all result) {
	all.errors = make(map[string]int)
	for _, r := range list {
		all.latency.merge(&r.latency)
		all.wall += r.wall
		for class, n := range r.errors {
			all.errors[class] += n
		}
		if all.first == nil {
			all.first = r.first
		}
	}
	return all
}

// nameOf returns the text of a class as a part of a unit, which has no spaces.
func nameOf(class string) string {
	name := []rune(class)
	for i, r := range name {
		if r == ' ' {
			name[i] = '_'
		}
	}
	return string(name)
}
