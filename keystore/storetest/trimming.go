package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"strongroom.example/keystore"
)

// trim: Trim removes the keys below a key and no others, while commits run, and they stay
// removed after the engine was closed.
func trim(t *testing.T, open Opener) {
	dir := t.TempDir()
	e := open(t, dir)
	value := strings.Repeat("v", 30<<10)
	put := func(first, end int) (want []string) {
		for i := first; i < end; i++ {
			key := fmt.Sprintf("a%04d", i)
			must(t, e.Commit(t.Context(), puts(key, value, "z", key)))
			want = append(want, key, value)
		}
		return want
	}
	must(t, e.Trim(t.Context(), []byte("b"))) // an empty engine
	put(0, 300)
	for _, below := range []string{"a", "a0000", "a0001", "a0001"} {
		must(t, e.Trim(t.Context(), []byte(below)))
	}
	var trimming sync.WaitGroup
	trimming.Go(func() {
		if err := e.Trim(t.Context(), []byte("a0290")); err != nil {
			t.Error(err)
		}
	})
	want := put(300, 320)
	trimming.Wait()
	var kept []string
	for i := 290; i < 300; i++ {
		kept = append(kept, fmt.Sprintf("a%04d", i), value)
	}
	want = append(append(kept, want...), "z", "a0319")
	holds(t, e, want...)
	if _, err := e.Get(t.Context(), []byte("a0289")); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("Get of a key that Trim removed: %v, want ErrNotFound", err)
	}
	must(t, e.Commit(t.Context(), puts("a0001", "again"))) // a key may come back
	must(t, e.Trim(t.Context(), []byte("a0290")))
	must(t, e.Close())
	e = open(t, dir)
	holds(t, e, want...)
	must(t, e.Trim(t.Context(), []byte("b")))
	holds(t, e, "z", "a0319")
	must(t, e.Close())
	e = open(t, dir)
	holds(t, e, "z", "a0319")
	must(t, e.Close())
	if err := e.Trim(t.Context(), []byte("b")); !errors.Is(err, keystore.ErrClosed) {
		t.Errorf("Trim after Close: %v, want ErrClosed", err)
	}
}
