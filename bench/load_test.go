package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/vault"
)

// TestHistogramQuantiles compares quantiles with those of the sorted values.
func TestHistogramQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h, other histogram
	var values []time.Duration
	for range 10_000 {
		d := time.Duration(random.ExpFloat64() * float64(time.Millisecond))
		values = append(values, d)
		if len(values)%2 == 0 {
			h.add(d)
		} else {
			other.add(d)
		}
	}
	h.merge(&other)
	slices.Sort(values)
	for _, q := range []float64{0, 0.1, 0.5, 0.99, 0.999} {
		want := values[int(q*float64(len(values)))]
		if got := h.quantile(q); got < want-want/32-1 || got > want+want/32+1 {
			t.Errorf("quantile %v is %v, want %v within 3 %%", q, got, want)
		}
	}
	if got := h.quantile(1); got != values[len(values)-1] {
		t.Errorf("quantile 1 is %v, want the maximum %v", got, values[len(values)-1])
	}
	below, _ := slices.BinarySearch(values, time.Millisecond)
	if got := int(h.upTo(time.Millisecond)); got > below || got < below*95/100 {
		t.Errorf("%d durations up to 1 ms, want %d", got, below)
	}
	if got := (&histogram{}).quantile(0.5); got != 0 {
		t.Errorf("the median of no duration is %v", got)
	}
}

// TestBuckets checks that the buckets have no gaps, and that each is narrow.
func TestBuckets(t *testing.T) {
	next := time.Duration(0)
	var h histogram
	for i := range h.counts {
		low, width := bounds(i)
		if low != next || bucketOf(low) != i || bucketOf(low+width-1) != i {
			t.Fatalf("bucket %d is %d + %d, after %d", i, low, width, next)
		}
		if low >= 2*half && width*half > low {
			t.Fatalf("bucket %d from %d on is %d wide", i, low, width)
		}
		if next = low + width; next < 0 {
			return // the end of what a duration can hold
		}
	}
}

// TestMeasureCountsEveryCall checks that no call is lost or counted twice, and that failures
// are counted by class.
func TestMeasureCountsEveryCall(t *testing.T) {
	var calls, failures atomic.Int64
	l := start(t.Context(), 4, func(context.Context, []byte) error {
		if calls.Add(1)%100 == 0 {
			failures.Add(1)
			return &driver.Error{Op: "Sign", Class: driver.Throttled}
		}
		return nil
	})
	l.wait(time.Second, func() bool { return failures.Load() >= 3 })
	first := l.take()
	l.stop()
	rest := l.take()
	whole := sum([]result{first, rest})
	if got := int64(whole.latency.total) + int64(whole.failed()); got != calls.Load() {
		t.Errorf("%d calls counted, %d made", got, calls.Load())
	}
	if got := int64(whole.errors["throttled"]); got != failures.Load() || got != int64(whole.failed()) || whole.first == nil {
		t.Errorf("%v, the first %v; want %d throttled", whole.errors, whole.first, failures.Load())
	}
}

// TestMeasureWaitsForSlowCallers checks that a measurement that is shorter than a call
// has at least as many calls as callers.
func TestMeasureWaitsForSlowCallers(t *testing.T) {
	r := measure(t.Context(), 3, time.Nanosecond, func(ctx context.Context, _ []byte) error {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
		return ctx.Err()
	})
	if r.latency.total < 3 || r.latency.quantile(0) < 4*time.Millisecond || r.failed() > 0 {
		t.Errorf("%d calls, the fastest %v, %d failed", r.latency.total, r.latency.quantile(0), r.failed())
	}
}

func TestClassOf(t *testing.T) {
	for want, err := range map[string]error{
		"unavailable":               fmt.Errorf("x: %w", &driver.Error{Op: "Sign", Class: driver.Unavailable}),
		"throttled":                 fmt.Errorf("x: %w", vault.ErrThrottled),
		"storage is full":           &vault.Error{Op: vault.OpSign, Err: vault.ErrStorageFull},
		"another error":             errors.New("x"),
		"context deadline exceeded": context.DeadlineExceeded,
	} {
		if got := classOf(err); got != want {
			t.Errorf("classOf(%v) = %q, want %q", err, got, want)
		}
	}
}

func TestKnee(t *testing.T) {
	for _, c := range []struct {
		points []point
		want   int
	}{
		{[]point{{1, 100}, {2, 190}, {4, 350}, {8, 390}, {16, 395}}, 8},
		{[]point{{1, 100}, {2, 101}, {4, 99}}, 1},
		{[]point{{64, 100}, {1, 95}}, 1},
		{[]point{{1, 100}, {2, 200}, {4, 400}}, 4},
	} {
		if got := knee(c.points); got.callers != c.want {
			t.Errorf("the knee of %v is at %d callers, want %d", c.points, got.callers, c.want)
		}
	}
}

func TestAlgorithmName(t *testing.T) {
	for want, c := range map[string]struct {
		key driver.KeyAlgorithm
		alg string
	}{
		"ECDSA_P256":            {driver.ECP256, string(driver.ECDSASHA256)},
		"RSA_2048_PSS_SHA_256":  {driver.RSA2048, string(driver.RSAPSSSHA256)},
		"RSA_3072_OAEP_SHA_256": {driver.RSA3072, string(driver.RSAOAEPSHA256)},
		"RSA_2048_RAW":          {driver.RSA2048, string(driver.RSARaw)},
		"HMAC_SHA_256":          {driver.HMACSHA256, ""},
		"ED25519":               {driver.Ed25519, string(driver.EdDSAEd25519)},
		"SM2DSA":                {driver.SM2, string(driver.SM2DSA)},
	} {
		if got := algorithmName(c.key, c.alg); got != want {
			t.Errorf("%s with %s is named %s, want %s", c.key, c.alg, got, want)
		}
	}
}
