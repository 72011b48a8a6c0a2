package keystore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// occupy makes the committer wait until release is called, and gives the store's callers
// time to queue.
func occupy(t *testing.T, s *keystore.Store) (release func()) {
	t.Helper()
	inside, leave, done := make(chan bool), make(chan bool), make(chan error)
	var once sync.Once
	go func() {
		done <- s.Commit(context.Background(), func(*keystore.Tx) error {
			once.Do(func() { close(inside) })
			<-leave
			return nil
		})
	}()
	<-inside
	return func() {
		close(leave)
		must(t, <-done)
	}
}

// TestFailedCommitIsAnswered: a failed engine commit is returned to its callers; the
// store continues if the engine still has the same head.
func TestFailedCommitIsAnswered(t *testing.T) {
	m := storetest.NewMemory()
	s := createSmall(t, config(t, m))
	broken := errors.New("broken")
	m.Fault(func(keystore.Batch) error { return broken })
	before := s.LogState()
	for range 3 {
		if err := s.Commit(t.Context(), small); !errors.Is(err, broken) {
			t.Fatalf("Commit with an engine that fails: %v, want the engine's error", err)
		}
	}
	if err := s.ReplaceProtectors(t.Context(), []keystore.Protector{{ID: "x"}}, nil); !errors.Is(err, broken) {
		t.Fatalf("ReplaceProtectors with an engine that fails: %v, want the engine's error", err)
	}
	if s.Failed() != nil || s.LogState().Size != before.Size || s.Version("a") != 1 || len(s.Root().Protectors) != 0 {
		t.Errorf("after failed commits: Failed is %v, LogState %v, want nil and the state from before", s.Failed(), s.LogState())
	}
	m.Fault(nil)
	must(t, s.Commit(t.Context(), small))
	if s.LogState().Size != before.Size+3 || s.Version("a") != 2 {
		t.Errorf("after a commit that succeeded: LogState %v, version %d, want 3 more audit records and version 2", s.LogState(), s.Version("a"))
	}
	checked(t, s)
}

// TestUncertainCommitFailsClosed: if it is unknown whether the batch was applied, the
// store fails closed. It serves the durable records, and changes nothing until it is
// opened again.
func TestUncertainCommitFailsClosed(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := createSmall(t, cfg)
	good, broken := m.Snapshot()["h"], errors.New("broken")
	m.Fault(func(keystore.Batch) error {
		m.Change("h", []byte("unreadable"))
		return broken
	})
	if err := s.Commit(t.Context(), small); !errors.Is(err, keystore.ErrUnavailable) || !errors.Is(err, broken) {
		t.Fatalf("Commit whose batch may be applied: %v, want ErrUnavailable and the engine's error", err)
	}
	m.Fault(nil)
	if err := s.Commit(t.Context(), small); !errors.Is(err, keystore.ErrUnavailable) || !errors.Is(s.Failed(), broken) {
		t.Errorf("next Commit: %v, Failed: %v, want ErrUnavailable and the engine's error", err, s.Failed())
	}
	if rec, err := s.Get(t.Context(), "a"); err != nil || rec.Version != 1 {
		t.Errorf("Get after the store failed closed: %v, %v, want version 1", rec, err)
	}
	must(t, s.Close())
	m.Change("h", good)
	s, err := reopen(cfg)
	must(t, err)
	checked(t, s)
}

// TestAppliedCommitFailsClosed: an engine that applies a batch and then reports an error
// has changed the head. The store fails closed, and its records are there after the next
// Open.
func TestAppliedCommitFailsClosed(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := createSmall(t, cfg)
	broken := errors.New("broken")
	m.Fault(func(b keystore.Batch) error {
		m.Apply(b)
		return broken
	})
	if err := s.Commit(t.Context(), small); !errors.Is(err, keystore.ErrUnavailable) || !errors.Is(err, broken) {
		t.Fatalf("Commit that is applied and then fails: %v, want ErrUnavailable and the engine's error", err)
	}
	m.Fault(nil)
	if err := s.Commit(t.Context(), small); !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("next Commit: %v, want ErrUnavailable", err)
	}
	must(t, s.Close())
	s, err := reopen(cfg)
	must(t, err)
	if s.Version("a") != 2 || s.LogState().Size != 6 {
		t.Errorf("after reopening: version %d and %d audit records, want 2 and 6", s.Version("a"), s.LogState().Size)
	}
	checked(t, s)
}

func TestTooLarge(t *testing.T) {
	s := createSmall(t, config(t, storetest.NewMemory()))
	long := make([]byte, keystore.MaxValue+1)
	for name, op := range map[string]func(*keystore.Tx){
		"value":    func(tx *keystore.Tx) { tx.Put("p", long) },
		"material": func(tx *keystore.Tx) { tx.PutMaterial("p", long) },
		"path":     func(tx *keystore.Tx) { tx.Put(string(long[:keystore.MaxPath+1]), nil) },
		"no path":  func(tx *keystore.Tx) { tx.Put("", nil) },
		"record":   func(tx *keystore.Tx) { tx.Log(func(uint64) []byte { return long }) },
		"batch": func(tx *keystore.Tx) {
			for i := range 40 {
				tx.Put(fmt.Sprint(i), long[1:])
			}
		},
	} {
		err := s.Commit(t.Context(), func(tx *keystore.Tx) error {
			tx.Put("a", []byte("not applied"))
			op(tx)
			return nil
		})
		if !errors.Is(err, keystore.ErrTooLarge) || s.Version("a") != 1 {
			t.Errorf("Commit of %s: %v and version %d, want ErrTooLarge and 1", name, err, s.Version("a"))
		}
	}
	must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error {
		tx.Put(string(bytes.Repeat([]byte("p"), keystore.MaxPath)), long[1:])
		tx.Put("empty", nil)
		tx.Log(func(uint64) []byte { return long[1:] })
		tx.Log(func(uint64) []byte { return nil })
		return nil
	}))
	checked(t, s)
}

func TestDiskFull(t *testing.T) {
	cfg := config(t, storetest.NewMemory())
	cfg.MinFree = 1 << 62
	if _, err := keystore.Create(t.Context(), cfg, keystore.Root{}, small); !errors.Is(err, keystore.ErrFull) {
		t.Errorf("Create on a full disk: %v, want ErrFull", err)
	}
	cfg.MinFree = 1
	s := createSmall(t, cfg)
	must(t, s.Close())
	cfg.MinFree = 1 << 62
	s, err := reopen(cfg)
	must(t, err)
	if err := s.Commit(t.Context(), small); !errors.Is(err, keystore.ErrFull) || s.Failed() != nil {
		t.Errorf("Commit on a full disk: %v, Failed: %v, want ErrFull and nil", err, s.Failed())
	}
	none := func(*keystore.Tx) error { return nil }
	for call, err := range map[string]error{
		"ReplaceProtectors": s.ReplaceProtectors(t.Context(), nil, none),
		"ChangeEpoch":       s.ChangeEpoch(t.Context(), none),
		"Rekey":             s.Rekey(t.Context(), keystore.Rekeying{Root: cfg.Root}),
	} {
		if !errors.Is(err, keystore.ErrFull) || s.Failed() != nil {
			t.Errorf("%s on a full disk: %v, Failed: %v, want ErrFull and nil", call, err, s.Failed())
		}
	}
	_, get := s.Get(t.Context(), "a")
	for call, err := range map[string]error{"Get": get, "Check": s.Check(t.Context()), "FinishEpoch": s.FinishEpoch(t.Context())} {
		if err != nil {
			t.Errorf("%s on a full disk, which writes nothing: %v", call, err)
		}
	}
	must(t, s.Close())
	cfg.MinFree = 1
	s, err = reopen(cfg)
	must(t, err)
	checked(t, s)
}

// TestReserve: below MinFree a commit in the reserve and a change of epoch work, beside
// commits that fail; below the reserve they fail as well, and change nothing.
func TestReserve(t *testing.T) {
	cfg := config(t, storetest.NewMemory())
	must(t, createSmall(t, cfg).Close())
	for _, row := range []struct {
		minFree        uint64
		commit, inside error
	}{
		{16 << 20, nil, nil}, {16<<20 - 1, nil, nil},
		{16<<20 + 1, keystore.ErrFull, nil}, {64 << 20, keystore.ErrFull, nil},
		{64<<20 + 4, keystore.ErrFull, keystore.ErrFull},
	} {
		cfg.MinFree = row.minFree
		cfg.SetFreeDisk(func() (uint64, error) { return 16 << 20, nil })
		s, err := reopen(cfg)
		must(t, err)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := s.Commit(t.Context(), small); !errors.Is(err, row.commit) {
					t.Errorf("MinFree %d, 16 MiB free: Commit returned %v, want %v", row.minFree, err, row.commit)
				}
			})
			wg.Go(func() {
				if err := s.CommitInReserve(t.Context(), small); !errors.Is(err, row.inside) {
					t.Errorf("MinFree %d, 16 MiB free: CommitInReserve returned %v, want %v", row.minFree, err, row.inside)
				}
			})
		}
		wg.Wait()
		if err := s.ChangeEpoch(t.Context(), small); !errors.Is(err, row.inside) {
			t.Errorf("MinFree %d, 16 MiB free: ChangeEpoch returned %v, want %v", row.minFree, err, row.inside)
		}
		if err := s.ReplaceProtectors(t.Context(), nil, nil); !errors.Is(err, row.commit) {
			t.Errorf("MinFree %d, 16 MiB free: ReplaceProtectors returned %v, want %v", row.minFree, err, row.commit)
		}
		checked(t, s)
	}
	// The reserve is never below 4 MiB, unless MinFree is.
	for _, row := range []struct{ free, minFree uint64 }{{4<<20 - 1, 8 << 20}, {999, 1000}} {
		cfg.MinFree = row.minFree
		cfg.SetFreeDisk(func() (uint64, error) { return row.free, nil })
		s, err := reopen(cfg)
		must(t, err)
		if err := s.CommitInReserve(t.Context(), small); !errors.Is(err, keystore.ErrFull) {
			t.Errorf("MinFree %d, %d free: CommitInReserve returned %v, want ErrFull", row.minFree, row.free, err)
		}
		checked(t, s)
	}
}

// TestCancelledInTheQueue: a caller that stops waiting in the queue changes nothing.
func TestCancelledInTheQueue(t *testing.T) {
	s := createSmall(t, config(t, storetest.NewMemory()))
	release := occupy(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Commit(ctx, small); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Commit whose context ends in the queue: %v, want DeadlineExceeded", err)
	}
	release()
	if err := s.Commit(ctx, small); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Commit whose context has ended: %v, want DeadlineExceeded", err)
	}
	if s.LogState().Size != 3 {
		t.Errorf("%d audit records, want 3: a cancelled Commit wrote one", s.LogState().Size)
	}
	checked(t, s)
}

func TestCloseAnswersThoseWhoWait(t *testing.T) {
	cfg := config(t, storetest.NewMemory())
	s := createSmall(t, cfg)
	release := occupy(t, s)
	waiting := make(chan error, 10)
	for range 10 {
		go func() { waiting <- s.Commit(context.Background(), small) }()
	}
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	poll.Until(t, "Close has begun", func() bool { return errors.Is(s.Commit(over, small), keystore.ErrClosed) })
	release()
	must(t, <-closed)
	for range 10 {
		if err := <-waiting; err != nil && !errors.Is(err, keystore.ErrClosed) {
			t.Errorf("Commit that Close interrupts: %v, want nil or ErrClosed", err)
		}
	}
	must(t, s.Close())
	_, get := s.Get(t.Context(), "a")
	_, leaf := s.LogRecord(t.Context(), 0)
	for _, err := range []error{get, leaf, s.Commit(t.Context(), small), s.Check(t.Context())} {
		if !errors.Is(err, keystore.ErrClosed) {
			t.Errorf("a call after Close: %v, want ErrClosed", err)
		}
	}
	s, err := reopen(cfg)
	must(t, err)
	checked(t, s)
}

// TestReadersDuringCommits: readers see only complete, committed values while the record
// changes.
func TestReadersDuringCommits(t *testing.T) {
	s := createSmall(t, config(t, storetest.NewMemory()))
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for last := uint64(0); ctx.Err() == nil; runtime.Gosched() {
				rec, err := s.Get(t.Context(), "counter")
				if errors.Is(err, keystore.ErrNotFound) {
					continue
				}
				if err != nil || rec.Version < last || string(rec.Value) != fmt.Sprint(rec.Version) {
					t.Errorf("Get during commits: %v, %v, want a value of its version, not older than the last one", rec, err)
					return
				}
				last = rec.Version
			}
		})
	}
	for range 100 {
		must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error {
			tx.Put("counter", []byte("not yet"))
			tx.Put("counter", fmt.Append(nil, tx.Version("counter")))
			return nil
		}))
	}
	must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error { tx.Delete("counter"); return nil }))
	stop()
	wg.Wait()
	checked(t, s)
}
