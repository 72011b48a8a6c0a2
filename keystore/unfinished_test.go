package keystore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// A disk that is full while the survivors are sealed stops the change, not the
// store: it goes on once there is room, by FinishEpoch, by the next change, or at
// the next Open.
func TestEpochChangeOnAFullDisk(t *testing.T) {
	for name, finish := range map[string]func(cfg keystore.Config, s *keystore.Store) (*keystore.Store, error){
		"FinishEpoch": func(_ keystore.Config, s *keystore.Store) (*keystore.Store, error) {
			return s, s.FinishEpoch(t.Context())
		},
		"ChangeEpoch": func(_ keystore.Config, s *keystore.Store) (*keystore.Store, error) {
			return s, s.ChangeEpoch(t.Context(), nil)
		},
		"Rekey": func(cfg keystore.Config, s *keystore.Store) (*keystore.Store, error) {
			return s, s.Rekey(t.Context(), keystore.Rekeying{Root: cfg.Root})
		},
		"Open": func(cfg keystore.Config, s *keystore.Store) (*keystore.Store, error) {
			must(t, s.Close())
			return reopen(cfg)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := storetest.NewMemory()
			cfg := config(t, m)
			s := withMaterial(t, cfg, 5)
			before := stateOf(t, cfg.Dir, m)
			m.Fault(func(b keystore.Batch) error {
				if len(b.Put) > 4 { // that of the survivors
					return keystore.ErrFull
				}
				return nil
			})
			err := s.ChangeEpoch(t.Context(), doom("m/doomed"))
			if !errors.Is(err, keystore.ErrUnfinished) || !errors.Is(err, keystore.ErrFull) || s.Failed() != nil {
				t.Fatalf("ChangeEpoch: %v, %v", err, s.Failed())
			}
			if err := s.FinishEpoch(t.Context()); !errors.Is(err, keystore.ErrFull) {
				t.Errorf("still full: %v", err)
			}
			survived(t, s, 5)
			must(t, s.Check(t.Context()))
			must(t, s.ReplaceProtectors(t.Context(), []keystore.Protector{{ID: "x"}}, nil))
			m.Fault(nil)
			s, err = finish(cfg, s)
			must(t, err)
			settled(t, s, cfg, m, before)
		})
	}
}

// Open does not end a change on a full disk, and spoils nothing.
func TestOpenOnAFullDisk(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	steps, states := crashes(t, cfg, m, destroyDoomed)
	for i, x := range states {
		x.put(t, cfg.Dir, m)
		m.Fault(func(keystore.Batch) error { return keystore.ErrFull })
		s, err := reopen(cfg)
		if err != nil && !errors.Is(err, keystore.ErrFull) {
			t.Fatalf("killed before %q: %v", steps[i], err)
		}
		if err == nil {
			must(t, s.Close())
		}
		m.Fault(nil)
		s, err = reopen(cfg)
		must(t, err)
		settled(t, s, cfg, m, states[0])
	}
}

// Close in the midst of a change: the caller learns it, and Open ends it.
func TestCloseDuringEpochChange(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := withMaterial(t, cfg, 5)
	before := stateOf(t, cfg.Dir, m)
	closed := make(chan error, 1)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	var once sync.Once
	m.Fault(func(b keystore.Batch) error {
		if len(b.Put) <= 4 {
			return nil
		}
		once.Do(func() { go func() { closed <- s.Close() }() })
		for !errors.Is(s.Commit(cancelled, doom("m/000")), keystore.ErrClosed) {
			runtime.Gosched()
		}
		return nil
	})
	err := s.ChangeEpoch(t.Context(), doom("m/doomed"))
	must(t, <-closed)
	if !errors.Is(err, keystore.ErrUnfinished) || !errors.Is(err, keystore.ErrClosed) {
		t.Errorf("ChangeEpoch: %v", err)
	}
	m.Fault(nil)
	s, err = reopen(cfg)
	must(t, err)
	settled(t, s, cfg, m, before)
}

// The context bounds the waiting, not the change once it is taken.
func TestCancelledEpochChange(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := withMaterial(t, cfg, 5)
	before := stateOf(t, cfg.Dir, m)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.ChangeEpoch(ctx, doom("m/doomed")); !errors.Is(err, context.Canceled) || s.Version("m/doomed") == 0 {
		t.Errorf("cancelled before: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	must(t, s.ChangeEpoch(ctx, func(tx *keystore.Tx) error {
		cancel()
		return doom("m/doomed")(tx)
	}))
	settled(t, s, cfg, m, before)
}

// What is replaced is overwritten: handles of the old files show zeros.
func TestOldRootFilesAreErased(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	var kept []*os.File
	keep := func(names ...string) {
		for _, name := range names {
			kept = append(kept, held(t, filepath.Join(cfg.Dir, name)))
		}
	}
	cfg.SetStep(func(step string) error {
		if step == "drop root.next" {
			keep("root.next")
		}
		return nil
	})
	s := withMaterial(t, cfg, 5)
	keep("root", "root.copy")
	must(t, s.ChangeEpoch(t.Context(), doom("m/doomed")))
	checked(t, s)
	if len(kept) != 4 {
		t.Fatalf("%d files were replaced, want 4", len(kept))
	}
	for _, f := range kept {
		if b := readHeld(t, f); len(b) == 0 || !bytes.Equal(b, make([]byte, len(b))) {
			t.Errorf("old file %s still has its bytes", f.Name())
		}
	}
}

// held opens a file, which can be read also when it has no name any more.
func held(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func readHeld(t *testing.T, f *os.File) []byte {
	t.Helper()
	b, err := io.ReadAll(f)
	must(t, err)
	return b
}

// A root file that is a link to another file is replaced; what it names is left
// alone.
func TestLinksAreNotErased(t *testing.T) {
	cfg := config(t, storetest.NewMemory())
	must(t, withMaterial(t, cfg, 1).Close())
	root, victim := filepath.Join(cfg.Dir, "root"), filepath.Join(t.TempDir(), "victim")
	write(t, victim, []byte("not ours"))
	must(t, os.Remove(root))
	must(t, os.Symlink(victim, root))
	s, err := reopen(cfg)
	must(t, err)
	checked(t, s)
	if string(read(t, victim)) != "not ours" || bytes.Equal(read(t, root), []byte("not ours")) {
		t.Error("the link was followed")
	}
}

// Destroying again and again leaves nothing that grows.
func TestKeyringStaysSmall(t *testing.T) {
	cfg := config(t, storetest.NewMemory())
	s := withMaterial(t, cfg, 1)
	size := len(read(t, filepath.Join(cfg.Dir, "root")))
	for range 25 {
		must(t, s.ChangeEpoch(t.Context(), doom("m/doomed")))
	}
	if now := len(read(t, filepath.Join(cfg.Dir, "root"))); now != size {
		t.Errorf("the root file has %d bytes, %d before", now, size)
	}
	must(t, s.Rekey(t.Context(), keystore.Rekeying{Root: cfg.Root}))
	if now := len(read(t, filepath.Join(cfg.Dir, "root"))); now != size+32 {
		t.Errorf("after a Rekey the root file has %d bytes, %d before", now, size)
	}
	checked(t, s)
	s, err := reopen(cfg)
	must(t, err)
	survived(t, s, 1)
	checked(t, s)
}
