// Package ranktest determines whether two kinds of call take different time. It is for
// tests of constant-time code.
package ranktest

import (
	"cmp"
	"math"
	"slices"
)

// A Block has values of both kinds that are compared with each other.
type Block[T cmp.Ordered] struct{ A, B []T }

// P returns the two-sided p-value of the rank test of Mann and Whitney, summed over blocks
// as van Elteren did: the probability of ranks at least as uneven as those of the blocks'
// values, if in each block both kinds come from one distribution. The test assumes nothing
// about that distribution, so that a few slow outliers count only by their ranks, and a
// difference between blocks does not count. Ties share their mean rank. P uses the normal
// approximation with corrections for ties and continuity, which is good from about 20
// values on each side. It returns 1 if one side has no values, or all values are equal.
func P[T cmp.Ordered](blocks ...Block[T]) float64 {
	var deviation, variance float64
	for _, b := range blocks {
		ranks, ties := rankSum(b.A, b.B)
		n, m := float64(len(b.A)), float64(len(b.B))
		total := n + m
		if n == 0 || m == 0 {
			continue
		}
		deviation += ranks - n*(total+1)/2
		variance += n * m / 12 * (total + 1 - ties/(total*(total-1)))
	}
	if !(variance > 0) {
		return 1
	}
	z := max(0, math.Abs(deviation)-0.5) / math.Sqrt(variance)
	return math.Erfc(z / math.Sqrt2)
}

// rankSum returns the sum of the ranks of a among a and b, counted from 1, and the sum of
// t³-t over all groups of t equal values.
func rankSum[T cmp.Ordered](a, b []T) (sum, ties float64) {
	type entry struct {
		value T
		fromA bool
	}
	all := make([]entry, 0, len(a)+len(b))
	for _, v := range a {
		all = append(all, entry{v, true})
	}
	for _, v := range b {
		all = append(all, entry{v, false})
	}
	slices.SortFunc(all, func(x, y entry) int { return cmp.Compare(x.value, y.value) })
	for start := 0; start < len(all); {
		end := start + 1
		for end < len(all) && all[end].value == all[start].value {
			end++
		}
		mean := float64(start+1+end) / 2
		for _, e := range all[start:end] {
			if e.fromA {
				sum += mean
			}
		}
		t := float64(end - start)
		ties += t*t*t - t
		start = end
	}
	return sum, ties
}
