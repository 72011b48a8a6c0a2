package bench

import (
	"context"
	"errors"
	"math"
	"runtime/metrics"
	"sync"
	"time"

	"strongroom.example/driver"
	"strongroom.example/vault"
)

// An act does the measured operation once. It appends its output, if it has any, to dst,
// which is the caller's own buffer.
type act func(ctx context.Context, dst []byte) error

// A load is a number of concurrent callers that repeat an operation until they are
// stopped, each as soon as its last call has returned. Because the callers do not stop
// between two measurements, there is no ramp in the figures.
type load struct {
	callers []*caller
	cancel  context.CancelFunc
	all     sync.WaitGroup
	since   time.Time
	queued  *metrics.Float64Histogram
}

// A caller counts its own calls, so that callers do not wait for each other to count.
type caller struct {
	mu    sync.Mutex
	tally tally
	ever  uint64 // calls since the start
}

// A tally is what one or more callers counted.
type tally struct {
	latency histogram
	errors  map[string]int // by class
	first   error
}

// A result is a tally of all callers over a period.
type result struct {
	tally
	callers int
	wall    time.Duration
	// queue99 is the 99th percentile of the time that a goroutine of this process, ready to
	// run, waited for a processor. A latency of this size is that of the Go scheduler, not of
	// the device.
	queue99 time.Duration
}

// rate returns the successful operations a second.
func (r result) rate() float64 { return float64(r.latency.total) / max(r.wall.Seconds(), 1e-9) }

// failed returns the number of failed calls.
func (r result) failed() (n int) {
	for _, count := range r.errors {
		n += count
	}
	return n
}

// start starts the callers.
func start(ctx context.Context, callers int, do act) *load {
	l := &load{callers: make([]*caller, callers), since: time.Now(), queued: schedulerLatencies()}
	ctx, l.cancel = context.WithCancel(ctx)
	for i := range l.callers {
		c := new(caller)
		l.callers[i] = c
		l.all.Go(func() { c.repeat(ctx, do) })
	}
	return l
}

// repeat makes calls until ctx is done. The end of a call is the beginning of the next, so
// that each call costs one reading of the clock. After a failure the caller pauses for a
// millisecond, because a device that is gone fails at once.
func (c *caller) repeat(ctx context.Context, do act) {
	dst := make([]byte, 0, 8192)
	for begun := time.Now(); ctx.Err() == nil; {
		err := do(ctx, dst)
		now := time.Now()
		if err != nil && ctx.Err() != nil {
			return // the end of the measurement, not a failure
		}
		c.count(now.Sub(begun), err)
		begun = now
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(time.Millisecond):
			}
			begun = time.Now()
		}
	}
}

func (c *caller) count(took time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ever++
	if err == nil {
		c.tally.latency.add(took)
		return
	}
	if c.tally.errors == nil {
		c.tally.errors, c.tally.first = make(map[string]int), err
	}
	c.tally.errors[classOf(err)]++
}

// take returns what was counted since the last take or the start, and begins again.
func (l *load) take() result {
	r := result{tally: tally{errors: make(map[string]int)}, callers: len(l.callers)}
	for _, c := range l.callers {
		c.mu.Lock()
		r.latency.merge(&c.tally.latency)
		for class, n := range c.tally.errors {
			r.errors[class] += n
		}
		if r.first == nil {
			r.first = c.tally.first
		}
		c.tally = tally{}
		c.mu.Unlock()
	}
	now, queued := time.Now(), schedulerLatencies()
	r.wall, r.queue99 = now.Sub(l.since), quantileBetween(l.queued, queued, 0.99)
	l.since, l.queued = now, queued
	return r
}

// calls returns the number of calls since the start, and of the caller that made fewest.
func (l *load) calls() (all, fewest uint64) {
	fewest = math.MaxUint64
	for _, c := range l.callers {
		c.mu.Lock()
		all, fewest = all+c.ever, min(fewest, c.ever)
		c.mu.Unlock()
	}
	return all, fewest
}

// warm waits until every caller has made a call, which opens sessions and fills caches, but
// not longer than a limit, and discards what was counted.
func (l *load) warm(limit time.Duration) {
	l.wait(limit, func() bool { _, fewest := l.calls(); return fewest > 0 })
	l.take()
}

// wait waits until a condition holds, or for the limit.
func (l *load) wait(limit time.Duration, done func() bool) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !done() && time.Now().Before(end); {
		<-tick.C
	}
}

// stop stops the callers and waits for their last calls.
func (l *load) stop() {
	l.cancel()
	l.all.Wait()
}

// measure repeats an operation for a duration, and longer if fewer calls than callers
// returned in it.
func measure(ctx context.Context, callers int, length time.Duration, do act) result {
	l := start(ctx, callers, do)
	defer l.stop()
	end := time.Now().Add(length)
	l.wait(patience, func() bool {
		now, _ := l.calls()
		return time.Now().After(end) && now >= uint64(callers)
	})
	return l.take()
}

// patience bounds what a measurement takes beyond its time, so that each caller of a slow
// device can finish a call.
const patience = 30 * time.Second

// classOf returns the class of an error, for counting: that of a driver's error, the text
// of a vault's sentinel, or "another error".
func classOf(err error) string {
	if e := (*driver.Error)(nil); errors.As(err, &e) {
		return e.Class.String()
	}
	for _, sentinel := range []error{
		vault.ErrThrottled, vault.ErrUnavailable, vault.ErrAuditUnavailable, vault.ErrStorageFull, vault.ErrLockedMemory,
		vault.ErrKeyState, vault.ErrDenied, vault.ErrNotFound, vault.ErrInvalid, vault.ErrUnsupported,
		vault.ErrCiphertext, vault.ErrCorrupt, context.DeadlineExceeded,
	} {
		if errors.Is(err, sentinel) {
			return sentinel.Error()
		}
	}
	return "another error"
}

// schedulerLatencies returns the runtime's histogram of the time that goroutines waited for
// a processor since the process began.
func schedulerLatencies() *metrics.Float64Histogram {
	sample := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return nil
	}
	return sample[0].Value.Float64Histogram()
}

// quantileBetween returns a quantile of what was added between two states of a histogram of
// seconds, as the upper end of its bucket.
func quantileBetween(from, to *metrics.Float64Histogram, q float64) time.Duration {
	if from == nil || to == nil {
		return 0
	}
	var all, seen uint64
	for i := range to.Counts {
		all += to.Counts[i] - from.Counts[i]
	}
	for i := range to.Counts {
		if seen += to.Counts[i] - from.Counts[i]; seen > uint64(q*float64(all)) {
			upper := to.Buckets[i+1]
			if math.IsInf(upper, 1) {
				upper = to.Buckets[i]
			}
			return time.Duration(upper * 1e9)
		}
	}
	return 0
}
