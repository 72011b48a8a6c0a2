package storetest

import (
	"context"
	"errors"
	"testing"

	"strongroom.example/keystore"
)

// Run tests an engine against the contract of keystore.Engine. open opens the
// engine in dir, with what an earlier one left there.
func Run(t *testing.T, open func(t *testing.T, dir string) keystore.Engine) {
	t.Run("contract", func(t *testing.T) { contract(t, open) })
	t.Run("limits", func(t *testing.T) { limits(t, open(t, t.TempDir())) })
}

func contract(t *testing.T, open func(t *testing.T, dir string) keystore.Engine) {
	dir, ctx := t.TempDir(), t.Context()
	e := open(t, dir)
	put := func(k, v string) keystore.Pair { return keystore.Pair{Key: []byte(k), Value: []byte(v)} }
	first := keystore.Batch{
		Expect: []keystore.Expectation{{Key: []byte("a1")}},
		Put:    []keystore.Pair{put("a3", "3"), put("a1", "1"), put("b1", "b"), put("a2", "2")},
	}
	must(t, e.Commit(ctx, first))
	if err := e.Commit(ctx, first); !errors.Is(err, keystore.ErrConflict) {
		t.Fatalf("an expectation of absence that fails: %v", err)
	}
	stale := keystore.Batch{
		Expect: []keystore.Expectation{{Key: []byte("a1"), Value: []byte("other")}},
		Put:    []keystore.Pair{put("a9", "9")}, Delete: [][]byte{[]byte("a2")},
	}
	if err := e.Commit(ctx, stale); !errors.Is(err, keystore.ErrConflict) {
		t.Fatalf("an expectation of a value that fails: %v", err)
	}
	scan(t, e, "a", "", 9, "a1", "a2", "a3")
	scan(t, e, "a", "a1", 1, "a2")
	scan(t, e, "", "", 9, "a1", "a2", "a3", "b1")
	must(t, e.Commit(ctx, keystore.Batch{Delete: [][]byte{[]byte("a2")}}))
	must(t, e.Close())
	if _, err := e.Get(ctx, []byte("a1")); !errors.Is(err, keystore.ErrClosed) {
		t.Fatalf("Get after Close: %v", err)
	}
	e = open(t, dir)
	scan(t, e, "a", "", 9, "a1", "a3")
	if _, err := e.Get(ctx, []byte("a2")); !errors.Is(err, keystore.ErrNotFound) {
		t.Fatalf("Get of a deleted key: %v", err)
	}
	must(t, e.Close())
}

func limits(t *testing.T, e keystore.Engine) {
	big := keystore.Batch{}
	for i := 0; big.Size() <= e.MaxBatch(); i++ {
		key := []byte{'k', byte(i >> 8), byte(i)}
		big.Put = append(big.Put, keystore.Pair{Key: key, Value: make([]byte, 16<<10)})
	}
	if err := e.Commit(t.Context(), big); !errors.Is(err, keystore.ErrTooLarge) {
		t.Fatalf("a batch over MaxBatch: %v", err)
	}
	scan(t, e, "", "", 9)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Commit(ctx, keystore.Batch{Put: []keystore.Pair{{Key: []byte("x"), Value: []byte("y")}}}); !errors.Is(err, context.Canceled) {
		t.Fatalf("Commit with a cancelled context: %v", err)
	}
	must(t, e.Close())
}

func scan(t *testing.T, e keystore.Engine, prefix, after string, limit int, want ...string) {
	t.Helper()
	var from []byte
	if after != "" {
		from = []byte(after)
	}
	pairs, err := e.Scan(t.Context(), []byte(prefix), from, limit)
	must(t, err)
	if len(pairs) != len(want) {
		t.Fatalf("Scan(%q, %q) gave %d pairs, want %q", prefix, after, len(pairs), want)
	}
	for i, p := range pairs {
		if string(p.Key) != want[i] {
			t.Fatalf("Scan(%q, %q)[%d] = %q, want %q", prefix, after, i, p.Key, want[i])
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
