package bench

import (
	"math/bits"
	"time"
)

// half is the number of buckets for each power of two: a bucket is at most 1/half of its
// value wide.
const half = 64

// A histogram counts durations in buckets whose width grows with the value, so that it
// needs the same memory for a second and for a day. Its zero value is empty. It is not safe
// for concurrent use.
type histogram struct {
	counts [58 * half]uint64
	total  uint64
	max    time.Duration
}

// add counts a duration.
func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(d)]++
	h.total++
	h.max = max(h.max, d)
}

// merge adds the counts of another histogram.
func (h *histogram) merge(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
	h.max = max(h.max, o.max)
}

// quantile returns the duration below or at which the fraction q of all durations lies, as
// the middle of its bucket. Without durations it is 0.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank, seen := uint64(q*float64(h.total)), uint64(0)
	for i, n := range h.counts {
		if seen += n; seen > rank {
			low, width := bounds(i)
			return min(low+width/2, h.max)
		}
	}
	return h.max
}

// upTo returns how many durations lie in buckets that end at or below a limit.
func (h *histogram) upTo(limit time.Duration) (n uint64) {
	for i, count := range h.counts {
		if low, width := bounds(i); low+width > limit {
			break
		}
		n += count
	}
	return n
}

// bucketOf returns the index of a duration's bucket. Below 2*half nanoseconds every value
// has a bucket of its own; above it, each power of two has half buckets.
func bucketOf(d time.Duration) int {
	shift := max(0, bits.Len64(uint64(d))-7)
	return shift*half + int(d>>shift)
}

// bounds returns the lowest value of a bucket, and its width.
func bounds(index int) (low, width time.Duration) {
	shift := max(0, index/half-1)
	return time.Duration(index-shift*half) << shift, 1 << shift
}
