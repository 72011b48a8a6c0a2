package keystore_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// TestFailedCreateLeavesNothing: a Create that fails at its n-th step, or whose Ready or
// n-th commit fails, leaves no files, and the next Create succeeds.
func TestFailedCreateLeavesNothing(t *testing.T) {
	broken := errors.New("broken")
	faults := map[string]func(cfg *keystore.Config, m *storetest.Memory, n int) (reached func() bool){
		"step": func(cfg *keystore.Config, _ *storetest.Memory, n int) func() bool {
			at := 0
			cfg.SetStep(func(step string) error {
				if step == "journal" { // the store writes the whole journal again
					return nil
				}
				if at++; at == n {
					return broken
				}
				return nil
			})
			return func() bool { return at >= n }
		},
		"commit": func(_ *keystore.Config, m *storetest.Memory, n int) func() bool {
			at := 0
			m.Fault(func(keystore.Batch) error {
				if at++; at == n {
					return broken
				}
				return nil
			})
			return func() bool { return at >= n }
		},
		"Ready": func(cfg *keystore.Config, _ *storetest.Memory, n int) func() bool {
			cfg.Ready = func(s *keystore.Store) error {
				if n > 1 {
					return nil
				}
				return errors.Join(s.Commit(t.Context(), small), broken)
			}
			return func() bool { return n == 1 }
		},
	}
	for name, set := range faults {
		n := 1
		for ; ; n++ {
			m := storetest.NewMemory()
			cfg := config(t, m)
			cfg.Dir = filepath.Join(t.TempDir(), "a", "v")
			lock, err := keystore.MakeAndLock(cfg.Dir)
			must(t, err)
			cfg.Lock = lock
			reached := set(&cfg, m, n)
			s, err := keystore.Create(t.Context(), cfg, keystore.Root{}, fill)
			if err == nil {
				must(t, s.Close())
				must(t, lock.Unlock())
				if reached() {
					t.Errorf("Create returned nil although %s %d failed", name, n)
				}
				break
			}
			if !errors.Is(err, broken) {
				t.Errorf("%s %d: Create: %v, want %v", name, n, err, broken)
			}
			must(t, lock.Discard())
			if _, err := os.Stat(filepath.Dir(cfg.Dir)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s %d: Create left its directory: %v", name, n, err)
			}
			m.Fault(nil)
			m.Restore(map[string][]byte{})
			cfg.SetStep(nil)
			cfg.Ready, cfg.Lock = nil, nil
			checked(t, create(t, cfg))
		}
		if n < 2 {
			t.Errorf("%s was reached fewer than 2 times, want more", name)
		}
	}
}

// TestCutCreateIsFinishedOrSetAside: a Create that is interrupted at its n-th step leaves
// a store that opens, or files that the next Create sets aside.
func TestCutCreateIsFinishedOrSetAside(t *testing.T) {
	finished, aside := 0, 0
	for n := 1; ; n++ {
		m := storetest.NewMemory()
		cfg := config(t, m)
		at, left := 0, state{}
		cfg.SetStep(func(string) error {
			if at++; at == n {
				left = stateOf(t, cfg.Dir, m)
			}
			return nil
		})
		checked(t, create(t, cfg))
		if at < n {
			break
		}
		cfg.SetStep(nil)
		left.put(t, cfg.Dir, m)
		if s, err := reopen(cfg); err == nil {
			checked(t, s)
			finished++
			continue
		} else if !errors.Is(err, keystore.ErrNoStore) {
			t.Errorf("cut at step %d: Open: %v, want a store or ErrNoStore", n, err)
		}
		m.Restore(map[string][]byte{}) // as if it had been set aside with the engine's directory
		checked(t, create(t, cfg))
		s, err := reopen(cfg)
		must(t, err)
		checked(t, s)
		aside++
	}
	if finished == 0 || aside == 0 {
		t.Errorf("%d cut Creates were finished and %d set aside, want some of each", finished, aside)
	}
}
