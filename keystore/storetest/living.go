package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"strongroom.example/keystore"
)

func closed(t *testing.T, open Opener) {
	dir := t.TempDir()
	e := open(t, dir)
	must(t, e.Commit(t.Context(), puts("k", "v")))
	must(t, e.Close())
	_, get := e.Get(t.Context(), []byte("k"))
	_, scan := e.Scan(t.Context(), nil, nil, 1)
	for call, err := range map[string]error{"Get": get, "Scan": scan, "Commit": e.Commit(t.Context(), puts("k", "w"))} {
		if !errors.Is(err, keystore.ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", call, err)
		}
	}
	e = open(t, dir)
	holds(t, e, "k", "v")
	must(t, e.Close())
}

func cancelled(t *testing.T, open Opener) {
	e := fresh(t, open)
	must(t, e.Commit(t.Context(), puts("k", "v")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, get := e.Get(ctx, []byte("k"))
	_, scan := e.Scan(ctx, nil, nil, 1)
	for call, err := range map[string]error{"Get": get, "Scan": scan, "Commit": e.Commit(ctx, puts("k", "w"))} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: %v, want Canceled", call, err)
		}
	}
	holds(t, e, "k", "v")
}

// concurrentReaders: a Scan sees all of a batch or none of it, and a Get never returns an
// older value than one seen before.
func concurrentReaders(t *testing.T, open Opener) {
	e := fresh(t, open)
	must(t, e.Commit(t.Context(), puts("a", "000", "b", "000")))
	stop := make(chan bool)
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for last := ""; ; {
				pairs, err := e.Scan(t.Context(), nil, nil, 9)
				if err != nil || len(pairs) != 2 || string(pairs[0].Value) != string(pairs[1].Value) {
					t.Errorf("Scan during commits: %q, %v, want two pairs with the same value", pairs, err)
					return
				}
				v, err := e.Get(t.Context(), []byte("a"))
				if err != nil || string(v) < string(pairs[0].Value) || string(v) < last {
					t.Errorf("Get during commits: %q after %q and %q, %v, want no older value", v, last, pairs[0].Value, err)
					return
				}
				last = string(v)
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for i := range 60 {
		n := fmt.Sprintf("%03d", i+1)
		if err := e.Commit(t.Context(), puts("a", n, "b", n)); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	readers.Wait()
}

// concurrentWriters: of several batches with the same expectation exactly one is applied.
func concurrentWriters(t *testing.T, open Opener) {
	e := fresh(t, open)
	for round := range 5 {
		key := fmt.Sprint("k", round)
		var mu sync.Mutex
		var writers sync.WaitGroup
		won := 0
		for i := range 8 {
			writers.Go(func() {
				b := puts(key, fmt.Sprint("writer ", i))
				b.Expect = []keystore.Expectation{{Key: []byte(key)}}
				err := e.Commit(t.Context(), b)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !errors.Is(err, keystore.ErrConflict) {
					t.Error(err)
				}
			})
		}
		writers.Wait()
		if won != 1 {
			t.Errorf("round %d: %d of 8 commits with the same expectation were applied, want 1", round, won)
		}
	}
}
