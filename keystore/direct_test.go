package keystore_test

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// inOwn commits once and tells whether the operation ran in the caller's goroutine.
func inOwn(t *testing.T, s *keystore.Store) (own bool) {
	t.Helper()
	must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error {
		stack := make([]byte, 16<<10)
		own = bytes.Contains(stack[:runtime.Stack(stack, false)], []byte("keystore_test.inOwn("))
		return small(tx)
	}))
	return own
}

// A caller alone is served in his own goroutine, one among many by the committer;
// once the others are gone he is alone again.
func TestDirect(t *testing.T) {
	s := createSmall(t, config(t, storetest.NewMemory()))
	if !inOwn(t, s) {
		t.Error("a caller alone went through the committer")
	}
	release := occupy(t, s)
	var wg sync.WaitGroup
	var queued sync.WaitGroup
	for range 8 {
		queued.Add(1)
		wg.Go(func() {
			queued.Done()
			if err := s.Commit(context.Background(), small); err != nil {
				t.Error(err)
			}
		})
	}
	queued.Wait()
	release()
	wg.Wait()
	for range 3 {
		must(t, s.Commit(t.Context(), small))
	}
	if !inOwn(t, s) {
		t.Error("a caller alone again went through the committer")
	}
	checked(t, s)
}
