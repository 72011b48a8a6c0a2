package bench

import (
	"bytes"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
)

func TestRawRoundTrip(t *testing.T) {
	r, err := NewRaw()
	if err != nil {
		t.Fatal(err)
	}
	key, sealed := r.DataKey()
	opened, err := r.Open(sealed)
	if err != nil || len(key) != 32 || !bytes.Equal(opened, key) {
		t.Fatalf("%d bytes, %v", len(opened), err)
	}
	sealed[0] ^= 1
	if _, err := r.Open(sealed); err == nil {
		t.Error("opened a changed ciphertext")
	}
}

func TestShareMakesEveryCall(t *testing.T) {
	for _, callers := range []int{1, 8, 64} {
		for _, calls := range []int{1, 7, 1000} {
			var made atomic.Int64
			if err := share(callers, calls, func() error { made.Add(1); return nil }); err != nil {
				t.Fatal(err)
			}
			if made.Load() != int64(calls) {
				t.Errorf("%d callers made %d of %d calls", callers, made.Load(), calls)
			}
		}
	}
	failure := errors.New("failure")
	if err := share(8, 100, func() error { return failure }); !errors.Is(err, failure) {
		t.Error(err)
	}
}

func TestMedian(t *testing.T) {
	v := []float64{5, 1, 4, 2, 3}
	if m := median(slices.Clone(v)); m != 3 {
		t.Error(m)
	}
}
