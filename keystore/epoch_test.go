package keystore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// withMaterial makes a store with n records that remain and one that is to be destroyed.
func withMaterial(t *testing.T, cfg keystore.Config, n int) *keystore.Store {
	t.Helper()
	s, err := keystore.Create(t.Context(), cfg, keystore.Root{}, func(tx *keystore.Tx) error {
		tx.Put("meta", []byte("state"))
		tx.PutMaterial("m/due", []byte("to be destroyed"))
		for i := range n {
			tx.PutMaterial(fmt.Sprintf("m/%03d", i), fmt.Appendf(nil, "material %d", i))
		}
		tx.Log(func(seq uint64) []byte { return fmt.Appendf(nil, "made %d", seq) })
		return nil
	})
	must(t, err)
	return s
}

// deletion returns an operation that deletes a record's material and logs it.
func deletion(path string) func(*keystore.Tx) error {
	return func(tx *keystore.Tx) error {
		tx.Delete(path)
		tx.Put("meta", []byte("destroyed"))
		tx.Log(func(seq uint64) []byte { return fmt.Appendf(nil, "destroyed %d", seq) })
		return nil
	}
}

// destroyDue destroys the record that withMaterial makes for it.
func destroyDue(s *keystore.Store) error {
	return s.ChangeEpoch(context.Background(), deletion("m/due"))
}

// checkRemaining checks that the n remaining records are readable.
func checkRemaining(t *testing.T, s *keystore.Store, n int) {
	t.Helper()
	for i := range n {
		rec, err := s.Get(t.Context(), fmt.Sprintf("m/%03d", i))
		if err != nil || rec.Version != 1 || string(rec.Value) != fmt.Sprintf("material %d", i) {
			t.Errorf("Get of remaining record %d: %v, or another version or value", i, err)
		}
	}
}

// state is all of a store's data on disk.
type state struct {
	pairs map[string][]byte
	files map[string][]byte
}

func stateOf(t *testing.T, dir string, m *storetest.Memory) state {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	out := state{m.Snapshot(), map[string][]byte{}}
	for _, e := range entries {
		if e.Type().IsRegular() { // the engine in memory has no files
			out.files[e.Name()] = read(t, filepath.Join(dir, e.Name()))
		}
	}
	return out
}

func (x state) put(t *testing.T, dir string, m *storetest.Memory) {
	t.Helper()
	old, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range old {
		must(t, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	for name, b := range x.files {
		write(t, filepath.Join(dir, name), b)
	}
	m.Restore(x.pairs)
}

func TestEpochChange(t *testing.T) {
	for _, remaining := range []int{0, 1, 40} {
		m := storetest.NewMemory()
		cfg := config(t, m)
		s := withMaterial(t, cfg, remaining)
		before := m.Snapshot()
		must(t, s.ChangeEpoch(t.Context(), deletion("m/due")))
		must(t, s.FinishEpoch(t.Context()))
		if _, err := s.Get(t.Context(), "m/due"); !errors.Is(err, keystore.ErrNotFound) {
			t.Errorf("Get of the destroyed record: %v, want ErrNotFound", err)
		}
		checkRemaining(t, s, remaining)
		for key, value := range m.Snapshot() {
			if key[0] == 'r' && value[2] == byte(keystore.Material) && bytes.Equal(before[key], value) {
				t.Errorf("record %x was not re-sealed", key)
			}
		}
		must(t, s.Check(t.Context()))
		must(t, s.Close())
		s, err := reopen(cfg)
		must(t, err)
		checkRemaining(t, s, remaining)
		if s.LogState().Size != 2 {
			t.Errorf("%d audit records after reopening, want 2", s.LogState().Size)
		}
		checked(t, s)
	}
}

// TestEpochChangeRefused: an error of the operation changes nothing.
func TestEpochChangeRefused(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := withMaterial(t, cfg, 3)
	before, refused := stateOf(t, cfg.Dir, m), errors.New("refused")
	err := s.ChangeEpoch(t.Context(), func(tx *keystore.Tx) error {
		tx.Delete("m/due")
		return refused
	})
	after := stateOf(t, cfg.Dir, m)
	if !errors.Is(err, refused) || !maps.EqualFunc(before.pairs, after.pairs, bytes.Equal) || !maps.EqualFunc(before.files, after.files, bytes.Equal) {
		t.Errorf("ChangeEpoch whose operation fails: %v, want the operation's error and no change on disk", err)
	}
	checked(t, s)
}

// TestOldFilesAfterEpochChange: any mixture of old and current files is refused with its
// error. Only a complete old copy opens, because nothing in the directory can distinguish
// it from the current state.
func TestOldFilesAfterEpochChange(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := withMaterial(t, cfg, 5)
	must(t, s.Close())
	before := stateOf(t, cfg.Dir, m)
	s, err := reopen(cfg)
	must(t, err)
	must(t, s.ChangeEpoch(t.Context(), deletion("m/due")))
	checked(t, s)
	now := stateOf(t, cfg.Dir, m)
	roots := []string{"root", "root.copy"}
	for name, x := range map[string]state{
		"old root":          {now.pairs, mixed(now.files, before.files, roots...)},
		"old root and tip":  {now.pairs, mixed(now.files, before.files, "root", "root.copy", "tip")},
		"old root, engine":  {before.pairs, mixed(now.files, before.files, roots...)},
		"old engine":        {before.pairs, now.files},
		"old engine, tip":   {before.pairs, mixed(now.files, before.files, "tip")},
		"old next root too": {before.pairs, mixed(now.files, map[string][]byte{"root.next": before.files["root"]}, "root.next")},
	} {
		x.put(t, cfg.Dir, m)
		if _, err := reopen(cfg); !errors.Is(err, keystore.ErrRolledBack) {
			t.Errorf("Open of %s: %v, want ErrRolledBack", name, err)
		}
	}
	if opened, err := keystore.Openable(cfg, before.files["root"], before.pairs); err != nil || opened[keystore.Material] != 6 {
		t.Errorf("records of the old copy that the old root file opens: %v, %v", opened, err)
	}
	before.put(t, cfg.Dir, m)
	s, err = reopen(cfg)
	must(t, err)
	if rec, err := s.Get(t.Context(), "m/due"); err != nil || string(rec.Value) != "to be destroyed" {
		t.Errorf("Get from a complete old copy: %v, want the destroyed record", err)
	}
	checked(t, s)
	now.put(t, cfg.Dir, m)
	s, err = reopen(cfg)
	must(t, err)
	checked(t, s)
}

// TestDoubleDestroy: the same material is destroyed twice, in sequence and concurrently.
func TestDoubleDestroy(t *testing.T) {
	cfg := config(t, storetest.NewMemory())
	s := withMaterial(t, cfg, 5)
	for range 2 {
		must(t, s.ChangeEpoch(t.Context(), deletion("m/due")))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := s.ChangeEpoch(t.Context(), deletion("m/000")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if paths := s.Paths("m/"); len(paths) != 4 || s.LogState().Size != 7 {
		t.Errorf("paths %q, %d audit records, want 4 paths and 7 records", paths, s.LogState().Size)
	}
	checked(t, s)
	s, err := reopen(cfg)
	must(t, err)
	checked(t, s)
}
