package storetest

import (
	"errors"
	"fmt"
	"testing"

	"strongroom.example/keystore"
)

// expectations: a batch is applied only if all of its expectations hold exactly.
func expectations(t *testing.T, open Opener) {
	e := fresh(t, open)
	must(t, e.Commit(t.Context(), puts("k", "one", "l", "other")))
	expect := func(key string, value []byte) keystore.Expectation {
		return keystore.Expectation{Key: []byte(key), Value: value}
	}
	for name, wrong := range map[string][]keystore.Expectation{
		"absent":                 {expect("k", nil)},
		"another value":          {expect("k", []byte("two"))},
		"a longer value":         {expect("k", []byte("one1"))},
		"a shorter value":        {expect("k", []byte("on"))},
		"empty for present":      {expect("k", []byte{})},
		"empty for absent":       {expect("absent", []byte{})},
		"a value for absent":     {expect("absent", []byte("one"))},
		"the second of two":      {expect("k", []byte("one")), expect("l", nil)},
		"the first of two":       {expect("absent", []byte("x")), expect("l", []byte("other"))},
		"of a key it puts":       {expect("new", []byte("two"))},
		"of a key that it drops": {expect("l", []byte("two"))},
	} {
		b := puts("k", "two", "new", "two")
		b.Delete, b.Expect = [][]byte{[]byte("l")}, wrong
		if err := e.Commit(t.Context(), b); !errors.Is(err, keystore.ErrConflict) {
			t.Errorf("Commit with the wrong expectation \"%s\": %v, want ErrConflict", name, err)
		}
	}
	holds(t, e, "k", "one", "l", "other")
	right := puts("k", "two")
	right.Delete = [][]byte{[]byte("l")}
	right.Expect = []keystore.Expectation{expect("k", []byte("one")), expect("l", []byte("other")), expect("absent", nil)}
	must(t, e.Commit(t.Context(), right))
	if err := e.Commit(t.Context(), right); !errors.Is(err, keystore.ErrConflict) {
		t.Errorf("Commit whose expectation the commit before it made false: %v, want ErrConflict", err)
	}
	holds(t, e, "k", "two")
}

// atomicity: a batch that is refused changes nothing, and one that is accepted is applied
// completely.
func atomicity(t *testing.T, open Opener) {
	e := fresh(t, open)
	must(t, e.Commit(t.Context(), puts("a", "1", "b", "1", "c", "1")))
	b := puts("a", "2", "d", "2")
	b.Delete = [][]byte{[]byte("b")}
	b.Expect = []keystore.Expectation{{Key: []byte("c"), Value: []byte("2")}}
	if err := e.Commit(t.Context(), b); !errors.Is(err, keystore.ErrConflict) {
		t.Fatalf("Commit with a false expectation: %v, want ErrConflict", err)
	}
	holds(t, e, "a", "1", "b", "1", "c", "1")
	b.Expect = nil
	must(t, e.Commit(t.Context(), b))
	holds(t, e, "a", "2", "c", "1", "d", "2")
}

// largestBatch: a batch of MaxBatch bytes is accepted; a larger one fails with
// ErrTooLarge and changes nothing.
func largestBatch(t *testing.T, open Opener) {
	e := fresh(t, open)
	if e.MaxBatch() < 4*keystore.MaxValue {
		t.Fatalf("MaxBatch is %d bytes, want at least 4 times MaxValue", e.MaxBatch())
	}
	if err := e.Commit(t.Context(), batchOf(e.MaxBatch()+1)); !errors.Is(err, keystore.ErrTooLarge) {
		t.Fatalf("Commit of a batch of MaxBatch and one byte: %v, want ErrTooLarge", err)
	}
	holds(t, e)
	b := batchOf(e.MaxBatch())
	must(t, e.Commit(t.Context(), b))
	pairs, err := e.Scan(t.Context(), nil, nil, len(b.Put)+1)
	must(t, err)
	if len(pairs) != len(b.Put) {
		t.Errorf("Scan returned %d pairs, want %d", len(pairs), len(b.Put))
	}
}

// batchOf returns a batch of exactly size bytes. Its pairs are about as large as the
// largest that a store writes.
func batchOf(size int) (b keystore.Batch) {
	n := size/keystore.MaxValue + 1
	for i := range n {
		key, length := fmt.Appendf(nil, "key %04d", i), size/n
		if i == 0 {
			length += size % n
		}
		b.Put = append(b.Put, keystore.Pair{Key: key, Value: make([]byte, length-len(key))})
	}
	return b
}

// durability: committed data is there after the engine is opened again.
func durability(t *testing.T, open Opener) {
	dir := t.TempDir()
	var want []string
	for round := range 4 {
		e := open(t, dir)
		holds(t, e, want...)
		b := puts(fmt.Sprint("k", round), "value", "every time", fmt.Sprint(round))
		if round > 0 {
			b.Delete = [][]byte{fmt.Appendf(nil, "k%d", round-1)}
		}
		must(t, e.Commit(t.Context(), b))
		want = []string{"every time", fmt.Sprint(round), fmt.Sprint("k", round), "value"}
		must(t, e.Close())
	}
	e := open(t, dir)
	holds(t, e, want...)
	must(t, e.Close())
}
