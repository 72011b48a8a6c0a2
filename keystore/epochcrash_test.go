package keystore_test

import (
	"bytes"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// crashes records the state of the disk before each step of change and after it, that is,
// the states in which a killed process would leave the disk.
func crashes(t *testing.T, cfg keystore.Config, m *storetest.Memory, change func(*keystore.Store) error) (steps []string, states []state) {
	t.Helper()
	armed := false
	cfg.SetStep(func(name string) error {
		if armed {
			steps, states = append(steps, name), append(states, stateOf(t, cfg.Dir, m))
		}
		return nil
	})
	s := withMaterial(t, cfg, 5)
	armed = true
	must(t, change(s))
	armed = false
	steps, states = append(steps, "end"), append(states, stateOf(t, cfg.Dir, m))
	checked(t, s)
	return steps, states
}

// TestEpochChangeKilledAnywhere: after a kill at any step, and after every sixth of them
// another kill at any step of the following Open, the store has all of the operation's
// changes or none. If it has them, no key for the destroyed material remains.
func TestEpochChangeKilledAnywhere(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	steps, states := crashes(t, cfg, m, destroyDue)
	first := states[0]
	for i, x := range states {
		x.put(t, cfg.Dir, m)
		var again []state
		counted := cfg
		counted.SetStep(func(string) error {
			again = append(again, stateOf(t, cfg.Dir, m))
			return nil
		})
		s, err := reopen(counted)
		if err != nil {
			t.Fatalf("killed before %q: Open: %v", steps[i], err)
		}
		settled(t, s, cfg, m, first)
		if i%6 != 2 {
			continue
		}
		for j, y := range again {
			y.put(t, cfg.Dir, m)
			s, err := reopen(cfg)
			if err != nil {
				t.Fatalf("killed before %q, then at step %d of Open: %v", steps[i], j, err)
			}
			settled(t, s, cfg, m, first)
		}
	}
	if !slices.Contains(steps, "root.copy erase") || len(steps) < 25 {
		t.Errorf("steps %q, want 25 or more with \"root.copy erase\"", steps)
	}
}

// TestEpochChangeFailsAnywhere: if a step and all later ones fail, the store fails closed
// or continues, and the next Open completes the change.
func TestEpochChangeFailsAnywhere(t *testing.T) {
	for cut := 1; ; cut++ {
		m := storetest.NewMemory()
		cfg := config(t, m)
		armed, n, crash := false, 0, errors.New("crash")
		failing := cfg
		failing.SetStep(func(string) error {
			if armed {
				n++
			}
			if n >= cut {
				return crash
			}
			return nil
		})
		s := withMaterial(t, failing, 5)
		before := stateOf(t, cfg.Dir, m)
		armed = true
		err := destroyDue(s)
		if err != nil && !errors.Is(err, crash) {
			t.Fatalf("step %d fails: ChangeEpoch: %v, want nil or the injected error", cut, err)
		}
		if applied := s.Version("m/due") == 0; applied && err != nil && s.Failed() == nil && !errors.Is(err, keystore.ErrUnfinished) {
			t.Errorf("step %d fails: the operation is durable, but the error is %v", cut, err)
		}
		s.Close()
		s, openErr := reopen(cfg)
		if openErr != nil {
			t.Fatalf("step %d fails: Open: %v", cut, openErr)
		}
		settled(t, s, cfg, m, before)
		if err == nil {
			return
		}
	}
}

// TestRekeyKilledAnywhere: after a kill at any step of a Rekey the old or the new root
// opens the store. Once the new one is in force, the old root file opens no mutable
// record.
func TestRekeyKilledAnywhere(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	renewed := cfg
	renewed.Root = bytes.Repeat([]byte{9}, 32)
	steps, states := crashes(t, cfg, m, func(s *keystore.Store) error {
		return s.Rekey(t.Context(), keystore.Rekeying{Root: renewed.Root})
	})
	for i, x := range states {
		x.put(t, cfg.Dir, m)
		s, err := reopen(cfg)
		inForce := errors.Is(err, keystore.ErrUnlock)
		if inForce {
			s, err = reopen(renewed)
		}
		if err != nil {
			t.Fatalf("killed before %q: Open: %v", steps[i], err)
		}
		checkRemaining(t, s, 5)
		checked(t, s)
		if !inForce {
			continue
		}
		opened, err := keystore.Openable(cfg, states[0].files["root"], m.Snapshot())
		if err != nil || opened[keystore.Material]+opened[keystore.Meta] != 0 {
			t.Errorf("killed before %q: records that the old root file opens: %v, %v, want none", steps[i], opened, err)
		}
	}
	if len(states) < 25 {
		t.Errorf("steps %q, want 25 or more", steps)
	}
}

// settled checks a store after an interrupted change, and closes it.
func settled(t *testing.T, s *keystore.Store, cfg keystore.Config, m *storetest.Memory, before state) {
	t.Helper()
	checkRemaining(t, s, 5)
	_, err := s.Get(t.Context(), "m/due")
	destroyed := errors.Is(err, keystore.ErrNotFound)
	meta, metaErr := s.Get(t.Context(), "meta")
	must(t, metaErr)
	if err != nil && !destroyed || destroyed != (s.LogState().Size == 2) || destroyed != (string(meta.Value) == "destroyed") {
		t.Errorf("part of the operation is applied: Get: %v, %d audit records, meta is %q", err, s.LogState().Size, meta.Value)
	}
	checked(t, s)
	now := stateOf(t, cfg.Dir, m)
	for name := range now.files {
		if name != "root" && name != "root.copy" && name != "tip" && name != "journal" {
			t.Errorf("file %s was left in the directory", name)
		}
	}
	if destroyed {
		buried(t, cfg, m, before, now)
	}
}

// buried checks that a copy of the engine from before the destruction cannot be used with
// the current files.
func buried(t *testing.T, cfg keystore.Config, m *storetest.Memory, before, now state) {
	t.Helper()
	for name, x := range map[string]state{
		"old engine":         {before.pairs, now.files},
		"old engine and tip": {before.pairs, mixed(now.files, before.files, "tip")},
	} {
		x.put(t, cfg.Dir, m)
		if _, err := reopen(cfg); !errors.Is(err, keystore.ErrRolledBack) {
			t.Errorf("Open of %s: %v, want ErrRolledBack", name, err)
		}
		opened, err := keystore.Openable(cfg, read(t, filepath.Join(cfg.Dir, "root")), before.pairs)
		must(t, err)
		if opened[keystore.Material] != 0 || opened[keystore.Meta] == 0 {
			t.Errorf("%s: old records that the current keys open: %v, want Meta only", name, opened)
		}
	}
	now.put(t, cfg.Dir, m)
}

// mixed returns files, with the named ones taken from others.
func mixed(files, others map[string][]byte, names ...string) map[string][]byte {
	out := maps.Clone(files)
	for _, n := range names {
		out[n] = others[n]
	}
	return out
}

// TestEpochChangeWithoutItsFile: if root.next is lost at the one moment at which only it
// has the new keys, Open begins the change again, because the head records it.
func TestEpochChangeWithoutItsFile(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	steps, states := crashes(t, cfg, m, destroyDue)
	x := states[slices.Index(steps, "root aside")]
	delete(x.files, "root.next")
	x.put(t, cfg.Dir, m)
	s, err := reopen(cfg)
	must(t, err)
	if s.LogState().Size != 2 {
		t.Fatal("ChangeEpoch's operation is missing after Open")
	}
	settled(t, s, cfg, m, states[0])
}

// TestOnlyTheNextRootFileIsLeft: if both copies are damaged while they are replaced,
// root.next opens the store.
func TestOnlyTheNextRootFileIsLeft(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	steps, states := crashes(t, cfg, m, destroyDue)
	x := states[slices.Index(steps, "root aside")]
	x.files["root"], x.files["root.copy"] = []byte("damaged"), nil
	x.put(t, cfg.Dir, m)
	s, err := reopen(cfg)
	must(t, err)
	settled(t, s, cfg, m, states[0])
}
