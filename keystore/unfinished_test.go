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

// TestEpochChangeOnAFullDisk: a disk that is full while records are re-sealed stops the
// change, but not the store. FinishEpoch, the next change or the next Open completes it
// once there is space.
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
				if len(b.Put) > 4 { // the batch with the re-sealed records
					return keystore.ErrFull
				}
				return nil
			})
			err := s.ChangeEpoch(t.Context(), deletion("m/due"))
			if !errors.Is(err, keystore.ErrUnfinished) || !errors.Is(err, keystore.ErrFull) || s.Failed() != nil {
				t.Fatalf("ChangeEpoch on a full disk: %v, Failed: %v, want ErrUnfinished, ErrFull and nil", err, s.Failed())
			}
			if err := s.FinishEpoch(t.Context()); !errors.Is(err, keystore.ErrFull) {
				t.Errorf("FinishEpoch on a full disk: %v, want ErrFull", err)
			}
			checkRemaining(t, s, 5)
			must(t, s.Check(t.Context()))
			must(t, s.ReplaceProtectors(t.Context(), []keystore.Protector{{ID: "x"}}, nil))
			m.Fault(nil)
			s, err = finish(cfg, s)
			must(t, err)
			settled(t, s, cfg, m, before)
		})
	}
}

// TestOpenOnAFullDisk: Open does not complete a change on a full disk, and damages
// nothing.
func TestOpenOnAFullDisk(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	steps, states := crashes(t, cfg, m, destroyDue)
	for i, x := range states {
		x.put(t, cfg.Dir, m)
		m.Fault(func(keystore.Batch) error { return keystore.ErrFull })
		s, err := reopen(cfg)
		if err != nil && !errors.Is(err, keystore.ErrFull) {
			t.Fatalf("killed before %q: Open on a full disk: %v, want nil or ErrFull", steps[i], err)
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

// TestCloseDuringEpochChange: a caller whose change Close interrupts gets an error, and
// Open completes the change.
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
		for !errors.Is(s.Commit(cancelled, deletion("m/000")), keystore.ErrClosed) {
			runtime.Gosched()
		}
		return nil
	})
	err := s.ChangeEpoch(t.Context(), deletion("m/due"))
	must(t, <-closed)
	if !errors.Is(err, keystore.ErrUnfinished) || !errors.Is(err, keystore.ErrClosed) {
		t.Errorf("ChangeEpoch that Close interrupts: %v, want ErrUnfinished and ErrClosed", err)
	}
	m.Fault(nil)
	s, err = reopen(cfg)
	must(t, err)
	settled(t, s, cfg, m, before)
}

// TestCancelledEpochChange: the context bounds the wait, not the change once it has
// started.
func TestCancelledEpochChange(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := withMaterial(t, cfg, 5)
	before := stateOf(t, cfg.Dir, m)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.ChangeEpoch(ctx, deletion("m/due")); !errors.Is(err, context.Canceled) || s.Version("m/due") == 0 {
		t.Errorf("ChangeEpoch with a cancelled context: %v, want Canceled and no change", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	must(t, s.ChangeEpoch(ctx, func(tx *keystore.Tx) error {
		cancel()
		return deletion("m/due")(tx)
	}))
	settled(t, s, cfg, m, before)
}

// TestOldRootFilesAreErased: replaced files are overwritten; open handles of them read
// zeros.
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
	must(t, s.ChangeEpoch(t.Context(), deletion("m/due")))
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

// held opens a file, so that it can be read after it has lost its name.
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

// TestLinksAreNotErased: a root file that is a symbolic link is replaced, and the target
// of the link is not changed.
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
		t.Error("the target of the link was changed, or the link was not replaced")
	}
}

// TestKeyringStaysSmall: repeated destruction does not make the root file grow.
func TestKeyringStaysSmall(t *testing.T) {
	cfg := config(t, storetest.NewMemory())
	s := withMaterial(t, cfg, 1)
	size := len(read(t, filepath.Join(cfg.Dir, "root")))
	for range 25 {
		must(t, s.ChangeEpoch(t.Context(), deletion("m/due")))
	}
	if now := len(read(t, filepath.Join(cfg.Dir, "root"))); now != size {
		t.Errorf("the root file has %d bytes, want %d as before", now, size)
	}
	must(t, s.Rekey(t.Context(), keystore.Rekeying{Root: cfg.Root}))
	if now := len(read(t, filepath.Join(cfg.Dir, "root"))); now != size+32 {
		t.Errorf("after a Rekey the root file has %d bytes, want 32 more than %d", now, size)
	}
	checked(t, s)
	s, err := reopen(cfg)
	must(t, err)
	checkRemaining(t, s, 1)
	checked(t, s)
}
