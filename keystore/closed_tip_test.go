package keystore_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// logOne commits one audit record, which the journal does not have.
func logOne(tx *keystore.Tx) error {
	tx.Log(func(seq uint64) []byte { return fmt.Appendf(nil, "leaf %d", seq) })
	return nil
}

// headAndTip returns the generations of head and tip of a closed store.
func headAndTip(t *testing.T, cfg keystore.Config, m *storetest.Memory) (head, tip uint64) {
	t.Helper()
	head, tip, err := keystore.HeadAndTip(cfg, m.Snapshot())
	must(t, err)
	return head, tip
}

// inBubble runs a test whose time stands still while it works. The generator of random bytes begins
// before it, because it measures time for that where FIPS 140 is enforced.
func inBubble(t *testing.T, test func(*testing.T)) {
	rand.Read(make([]byte, 1))
	synctest.Test(t, test)
}

// TestTipAfterClose: after a clean Close the tip names the head, however often it was
// synced before, and although a shortage made it try again.
func TestTipAfterClose(t *testing.T) { inBubble(t, tipAfterClose) }

func tipAfterClose(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	type calls []func(*keystore.Store) error
	faults := 0 // how many writes of the tip are to fail
	failing := cfg
	failing.SetStep(func(step string) error {
		if step == "tip" && faults > 0 {
			faults--
			return syscall.ENOSPC
		}
		return nil
	})
	pause := func(*keystore.Store) error { time.Sleep(time.Minute); return nil } // a written tip is synced
	sync := func(s *keystore.Store) error { return s.ReplaceProtectors(t.Context(), nil, nil) }
	commit := func(s *keystore.Store) error { return s.Commit(t.Context(), logOne) }
	short := func(s *keystore.Store) error { faults = 1; return commit(s) }
	must(t, createSmall(t, failing).Close())
	for _, c := range []struct {
		name string
		work calls
	}{
		{"nothing", nil},
		{"a commit", calls{commit}},
		{"two commits", calls{commit, commit}},
		{"a sync", calls{sync}},
		{"a commit after a sync", calls{sync, commit}},
		{"two commits after a sync", calls{sync, commit, commit}},
		{"a commit between syncs", calls{sync, commit, sync}},
		{"a pause", calls{commit, pause}},
		{"a commit after a pause", calls{commit, pause, commit}},
		{"two commits after a pause", calls{commit, pause, commit, commit}},
		{"a commit after two pauses", calls{commit, pause, commit, pause, commit}},
		{"a shortage after a pause", calls{commit, pause, short}},
		{"a shortage", calls{short}},
		{"a shortage after a commit", calls{commit, short}},
		{"a shortage after a sync", calls{sync, short}},
		{"a shortage before more", calls{short, commit}},
		{"a sync with a shortage before", calls{short, sync}},
	} {
		s, err := reopen(failing)
		must(t, err)
		t.Cleanup(func() { s.Close() }) // a bubble must not end with a goroutine in it
		for _, do := range c.work {
			must(t, do(s))
		}
		must(t, s.Close())
		if head, tip := headAndTip(t, cfg, m); head != tip || faults != 0 {
			t.Errorf("after %s and Close: the head is at generation %d, the tip at %d, %d faults are left", c.name, head, tip, faults)
		}
	}
}

// TestTipOfCommitsDuringClose: Close waits for a commit that has begun, in the caller's own
// goroutine or in the committer, and the tip names the last one.
func TestTipOfCommitsDuringClose(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	closing, held := make(chan error, 1), atomic.Bool{}
	failing := cfg
	var s *keystore.Store
	failing.SetStep(func(step string) error {
		if step == "tip" && held.Swap(false) { // the batch is durable, and its tip is not written
			go func() { closing <- s.Close() }()
			poll.Until(t, "Close begins", func() bool {
				return errors.Is(s.FinishEpoch(t.Context()), keystore.ErrClosed)
			})
		}
		return nil
	})
	s = createSmall(t, failing)
	held.Store(true)
	must(t, s.Commit(t.Context(), small))
	must(t, <-closing)
	if head, tip := headAndTip(t, cfg, m); head != tip {
		t.Errorf("a lone commit during Close: the head is at generation %d, the tip at %d", head, tip)
	}
	for n := range 20 {
		var err error
		s, err = reopen(cfg)
		must(t, err)
		acknowledged := commitsUntilClosed(t, s, n)
		head, tip := headAndTip(t, cfg, m)
		if head != tip {
			t.Errorf("commits during Close: the head is at generation %d, the tip at %d", head, tip)
		}
		s, err = reopen(cfg)
		must(t, err)
		if size := s.LogState().Size; size < acknowledged {
			t.Errorf("%d audit records after Close, %d were acknowledged", size, acknowledged)
		}
		checked(t, s)
	}
}

// commitsUntilClosed commits audit records from several goroutines and closes the store
// after n of them. It returns the number of records that the log must have at least.
func commitsUntilClosed(t *testing.T, s *keystore.Store, n int) uint64 {
	t.Helper()
	before := s.LogState().Size
	var wg sync.WaitGroup
	var acknowledged atomic.Uint64
	for range 4 {
		wg.Go(func() {
			for {
				err := s.Commit(t.Context(), logOne)
				if errors.Is(err, keystore.ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("Commit during Close: %v, want nil or ErrClosed", err)
					return
				}
				acknowledged.Add(1)
			}
		})
	}
	poll.Until(t, "some commits are acknowledged", func() bool { return acknowledged.Load() >= uint64(n) })
	must(t, s.Close())
	wg.Wait()
	return before + acknowledged.Load()
}

// TestTipBehindTheHead: a tip that cannot be written fails its commit and the store, and
// stays behind the head. The next Open finds that commit, and writes the tip. The tip alone
// does not tell an engine from before that commit, which was not acknowledged; it tells an
// older engine, and the journal tells one that lacks the change of a record.
func TestTipBehindTheHead(t *testing.T) {
	for name, c := range map[string]struct {
		op      func(*keystore.Tx) error
		without error // of Open with the engine from before the commit
	}{
		"audit record": {logOne, nil},
		"change":       {small, keystore.ErrRolledBack},
	} {
		t.Run(name, func(t *testing.T) {
			m := storetest.NewMemory()
			cfg := config(t, m)
			older, before := failAtTip(t, cfg, m, c.op)
			if head, tip := headAndTip(t, cfg, m); head != tip+1 {
				t.Errorf("the head is at generation %d, the tip at %d, want one less", head, tip)
			}
			now, file := m.Snapshot(), read(t, filepath.Join(cfg.Dir, "tip"))
			for _, o := range []struct {
				what  string
				pairs map[string][]byte
				want  error
			}{
				{"an older engine", older, keystore.ErrRolledBack},
				{"the engine from before the commit", before, c.without},
				{"the newest engine", now, nil},
			} {
				m.Restore(o.pairs)
				write(t, filepath.Join(cfg.Dir, "tip"), file)
				s, err := reopen(cfg)
				if !errors.Is(err, o.want) {
					t.Errorf("Open with %s: %v, want %v", o.what, err, o.want)
				}
				if err != nil {
					continue
				}
				checked(t, s)
				if head, tip := headAndTip(t, cfg, m); head != tip {
					t.Errorf("after Open with %s: the head is at generation %d, the tip at %d", o.what, head, tip)
				}
			}
		})
	}
}

// failAtTip makes a store whose last commit is op, and whose tip has no room for it. It
// returns the engine as before the last two commits, and as before the last.
func failAtTip(t *testing.T, cfg keystore.Config, m *storetest.Memory, op func(*keystore.Tx) error) (older, before map[string][]byte) {
	t.Helper()
	var full atomic.Bool
	cfg.SetStep(func(step string) error {
		if step == "tip" && full.Load() {
			return syscall.ENOSPC
		}
		return nil
	})
	s := createSmall(t, cfg)
	older = m.Snapshot()
	must(t, s.Commit(t.Context(), logOne))
	before = m.Snapshot()
	full.Store(true)
	if err := s.Commit(t.Context(), op); !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("Commit without a tip: %v, want ErrUnavailable", err)
	}
	full.Store(false)
	if err := s.Commit(t.Context(), logOne); !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("the next Commit: %v, want ErrUnavailable", err)
	}
	must(t, s.Close())
	return older, before
}
