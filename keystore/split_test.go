package keystore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// TestGroupsAreSplit: a group larger than a batch is split, and every operation succeeds.
func TestGroupsAreSplit(t *testing.T) {
	m := storetest.NewMemory()
	s := createSmall(t, config(t, m))
	batches := 0
	m.Fault(func(keystore.Batch) error { batches++; return nil })
	release := occupy(t, s)
	value := bytes.Repeat([]byte("v"), 20<<10)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			err := s.Commit(context.Background(), func(tx *keystore.Tx) error {
				tx.Put(fmt.Sprintf("big/%d", i), value)
				tx.Log(func(seq uint64) []byte { return append(fmt.Appendf(nil, "%d ", seq), value...) })
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	poll.Until(t, "the commits are queued", func() bool { return s.Queued() >= 39 })
	release()
	wg.Wait()
	if n := len(s.Paths("big/")); n != 40 || s.LogState().Size != 43 || batches < 4 {
		t.Errorf("%d paths, %d audit records in %d batches, want 40, 43 and at least 4", n, s.LogState().Size, batches)
	}
	for e, err := range s.LogRange(t.Context(), 3, 43) {
		must(t, err)
		if want := append(fmt.Appendf(nil, "%d ", e.Seq), value...); !bytes.Equal(e.Leaf, want) {
			t.Fatalf("audit record %d has other bytes than its operation logged", e.Seq)
		}
	}
	checked(t, s)
}

// TestSplitEndsWithTheStore: if the store fails closed while it commits a split group,
// none of the later operations is committed.
func TestSplitEndsWithTheStore(t *testing.T) {
	cfg := config(t, storetest.NewMemory())
	broken, armed := errors.New("broken"), false
	cfg.SetStep(func(name string) error {
		if armed && name == "tip" {
			armed = false
			return broken
		}
		return nil
	})
	s := createSmall(t, cfg)
	release := occupy(t, s)
	answers := make(chan error, 4)
	for i := range cap(answers) {
		go func() {
			answers <- s.Commit(context.Background(), func(tx *keystore.Tx) error {
				for j := range 10 {
					tx.Put(fmt.Sprintf("big/%d/%d", i, j), make([]byte, 30<<10))
				}
				return nil
			})
		}()
	}
	for s.Queued() < cap(answers)-1 { // the committer has one
		runtime.Gosched()
	}
	armed = true
	release()
	for range cap(answers) {
		if err := <-answers; !errors.Is(err, keystore.ErrUnavailable) {
			t.Errorf("Commit in or after the batch that failed: %v, want ErrUnavailable", err)
		}
	}
	if n := len(s.Paths("big/")); n > 10 {
		t.Errorf("%d records were committed, want at most 10", n)
	}
	must(t, s.Close())
}
