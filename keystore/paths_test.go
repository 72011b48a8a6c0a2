package keystore_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// pages returns all paths of a prefix, read in pages.
func pages(s *keystore.Store, prefix string, size int) (all []string) {
	after := ""
	for {
		page := s.PathsAfter(prefix, after, size)
		if len(page) == 0 {
			return all
		}
		all, after = append(all, page...), page[len(page)-1]
	}
}

// TestPathsAfterIsPaths: after random changes, pages of any size and prefix are what Paths
// returns, and other folders are not affected.
func TestPathsAfterIsPaths(t *testing.T) {
	cfg := config(t, storetest.NewMemory())
	s := create(t, cfg)
	defer s.Close()
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 40 {
		must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error {
			for range 20 {
				path := fmt.Sprintf("%s/%03d", []string{"a", "ab", "b"}[random.IntN(3)], random.IntN(300))
				if random.IntN(3) == 0 {
					tx.Delete(path)
				} else {
					tx.Put(path, []byte("x"))
				}
			}
			return nil
		}))
		for _, prefix := range []string{"a/", "ab/", "b/", "a/1", "none/"} {
			size := 1 + random.IntN(50)
			if got, want := pages(s, prefix, size), s.Paths(prefix); !slices.Equal(got, want) {
				t.Fatalf("round %d: pages of %d of %q: %d paths, want the %d of Paths", round, size, prefix, len(got), len(want))
			}
		}
	}
	all := s.Paths("a/")
	if got := s.PathsAfter("a/", all[3], 2); !slices.Equal(got, all[4:6]) {
		t.Errorf("PathsAfter %q: %q, want %q", all[3], got, all[4:6])
	}
	if got := s.PathsAfter("a/", "zzz", 2); got != nil {
		t.Errorf("PathsAfter the last path: %q, want none", got)
	}
}

// TestPathsAfterDuringCommits: a path that is in the store all the time is in every
// listing while others change.
func TestPathsAfterDuringCommits(t *testing.T) {
	s := create(t, config(t, storetest.NewMemory()))
	defer s.Close()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 50 {
				err := s.Commit(t.Context(), func(tx *keystore.Tx) error {
					tx.Put(fmt.Sprintf("k/%d-%d", w, i), nil)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 4 {
		wg.Go(func() {
			for range 50 {
				kept := slices.DeleteFunc(pages(s, "k/", 3), func(p string) bool { return strings.Contains(p, "-") })
				if len(kept) != 12 {
					t.Errorf("a listing has %d of the 12 paths that are always there", len(kept))
				}
			}
		})
	}
	wg.Wait()
}

// TestTxPaths: in a commit, Paths is what Get finds, with the changes of the operation and of
// earlier ones in the group.
func TestTxPaths(t *testing.T) {
	s := create(t, config(t, storetest.NewMemory()))
	defer s.Close()
	must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error {
		for _, path := range []string{"a/1", "a/2", "a/3", "ab/1", "b/1"} {
			tx.Put(path, []byte("x"))
		}
		return nil
	}))
	random := rand.New(rand.NewPCG(1, 2))
	groups, sizes := map[uint64]int{}, sync.Mutex{}
	change := func(tx *keystore.Tx) error {
		sizes.Lock()
		defer sizes.Unlock()
		for range 5 {
			path := fmt.Sprintf("a/%d", random.IntN(9))
			if random.IntN(2) == 0 {
				tx.Delete(path)
			} else {
				tx.Put(path, []byte("x"))
			}
		}
		var want []string
		for n := range 9 {
			if path := fmt.Sprintf("a/%d", n); tx.Version(path) != 0 {
				want = append(want, path)
			}
		}
		if got := tx.Paths("a/"); !slices.Equal(got, want) {
			t.Errorf("Paths in the commit: %q, want %q", got, want)
		}
		groups[s.LogState().Size]++
		tx.Log(func(uint64) []byte { return []byte("x") })
		return nil
	}
	for range 20 {
		release := occupy(t, s)
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { must(t, s.Commit(t.Context(), change)) })
		}
		poll.Until(t, "the operations are queued", func() bool { return s.Queued() >= 9 })
		release()
		all.Wait()
	}
	largest := 0
	for _, n := range groups {
		largest = max(largest, n)
	}
	if largest < 5 {
		t.Errorf("the largest group had %d operations", largest)
	}
}
