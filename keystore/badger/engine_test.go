package badger

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"strongroom.example/keystore"
)

// open opens a store and closes it with the test.
func open(t *testing.T, dir string) keystore.Engine {
	t.Helper()
	e, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func put(key, value string) keystore.Batch {
	return keystore.Batch{Put: []keystore.Pair{{Key: []byte(key), Value: []byte(value)}}}
}

func TestExpectationsAreExact(t *testing.T) {
	t.Parallel()
	e := open(t, filepath.Join(t.TempDir(), "new", "store"))
	if err := e.Commit(t.Context(), put("k", "one")); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []keystore.Expectation{
		{Key: []byte("k")}, {Key: []byte("k"), Value: []byte("on")},
		{Key: []byte("k"), Value: []byte{}}, {Key: []byte("absent"), Value: []byte{}},
	} {
		b := put("k", "two")
		b.Expect = []keystore.Expectation{wrong}
		if err := e.Commit(t.Context(), b); !errors.Is(err, keystore.ErrConflict) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if v, err := e.Get(t.Context(), []byte("k")); err != nil || string(v) != "one" {
		t.Fatalf("%q, %v", v, err)
	}
}

// One of many who expect the same value wins each round.
func TestExpectationHoldsUntilCommitted(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir())
	var won, lost int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			b := put("k", fmt.Sprint("caller ", i))
			b.Expect = []keystore.Expectation{{Key: []byte("k")}}
			err := e.Commit(t.Context(), b)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case errors.Is(err, keystore.ErrConflict):
				lost++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 || lost != 15 {
		t.Errorf("%d won, %d lost", won, lost)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir())
	marker := bytes.Repeat([]byte("marker"), MaxValue)
	var many keystore.Batch
	for i := range MaxEntries + 1 {
		many.Put = append(many.Put, put(fmt.Sprint(i), "v").Put...)
	}
	var heavy keystore.Batch
	for i := range maxBatch/MaxValue + 1 {
		heavy.Put = append(heavy.Put, keystore.Pair{Key: []byte{byte(i)}, Value: marker[:MaxValue]})
	}
	for name, b := range map[string]keystore.Batch{
		"value":       put("k", string(marker[:MaxValue+1])),
		"large value": put("k", string(marker)),
		"key":         put(string(marker[:MaxKey+1]), "v"),
		"delete":      {Delete: [][]byte{marker[:MaxKey+1]}},
		"entries":     many,
		"bytes":       heavy,
	} {
		err := e.Commit(t.Context(), b)
		if !errors.Is(err, keystore.ErrTooLarge) || bytes.Contains([]byte(err.Error()), []byte("marker")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string]keystore.Batch{
		"no key": put("", "v"), "no value": put("k", ""), "Badger's key": put("!badger!x", "v"),
	} {
		if err := e.Commit(t.Context(), b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if pairs, err := e.Scan(t.Context(), nil, nil, 10); err != nil || len(pairs) != 0 {
		t.Errorf("refused batches left %d pairs, %v", len(pairs), err)
	}
	fills := keystore.Batch{Put: heavy.Put[:maxBatch/MaxValue-1]}
	if err := e.Commit(t.Context(), fills); err != nil {
		t.Errorf("a full batch: %v", err)
	}
	if err := e.Commit(t.Context(), keystore.Batch{Put: many.Put[:MaxEntries]}); err != nil {
		t.Errorf("all entries: %v", err)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir())
	for range 2 {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, get := e.Get(t.Context(), []byte("k"))
	_, scan := e.Scan(t.Context(), nil, nil, 1)
	for _, err := range []error{get, scan, e.Commit(t.Context(), put("k", "v"))} {
		if !errors.Is(err, keystore.ErrClosed) {
			t.Error(err)
		}
	}
}
