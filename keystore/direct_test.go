package keystore_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// inOwn commits once and reports whether the operation ran in the caller's goroutine.
func inOwn(t *testing.T, s *keystore.Store) (own bool) {
	t.Helper()
	must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error {
		stack := make([]byte, 16<<10)
		own = bytes.Contains(stack[:runtime.Stack(stack, false)], []byte("keystore_test.inOwn("))
		return small(tx)
	}))
	return own
}

// TestDirect: a lone caller's operation runs in its own goroutine, and those of several
// callers run in the committer. A caller that is alone again is served directly again.
func TestDirect(t *testing.T) {
	s := createSmall(t, config(t, storetest.NewMemory()))
	if !inOwn(t, s) {
		t.Error("Commit of a lone caller ran in the committer, want the caller's goroutine")
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
		t.Error("Commit of a caller that is alone again ran in the committer, want the caller's goroutine")
	}
	checked(t, s)
}

// bulky fills most of a batch, so that a group with it takes no other operation.
func bulky(tx *keystore.Tx) error {
	for i := range 14 {
		tx.Put(fmt.Sprint("bulky/", i), make([]byte, 30<<10))
	}
	return nil
}

// TestDirectEndsWithItsGroup: a caller that commits in its own goroutine returns once its
// own group is durable, even if more operations have been queued.
func TestDirectEndsWithItsGroup(t *testing.T) {
	for name, after := range map[string]func(s *keystore.Store, op func(*keystore.Tx) error) error{
		"operations": func(s *keystore.Store, op func(*keystore.Tx) error) error {
			return s.Commit(context.Background(), op)
		},
		"a job with the store to itself": func(s *keystore.Store, op func(*keystore.Tx) error) error {
			return s.ReplaceProtectors(context.Background(), nil, op)
		},
	} {
		s := createSmall(t, config(t, storetest.NewMemory()))
		leave, answered, gate := occupy(t, s), make(chan bool), make(chan bool)
		var others sync.WaitGroup
		queue := func(f func() error, queued int) {
			others.Go(func() {
				if err := f(); err != nil {
					t.Error(err)
				}
			})
			for s.Queued() != queued {
				runtime.Gosched()
			}
		}
		for n := range 3 { // the committer has taken one of them
			queue(func() error { return s.Commit(context.Background(), bulky) }, n)
		}
		queue(func() error { return after(s, func(*keystore.Tx) error { <-gate; return nil }) }, 3)
		go func() {
			leave()
			close(answered)
		}()
		select {
		case <-answered:
		case <-time.After(poll.Limit):
			t.Errorf("%s: Commit has not returned: the caller's goroutine serves later groups", name)
		}
		close(gate)
		others.Wait()
		<-answered
		checked(t, s)
	}
}
