package keystore_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"strongroom.example/internal/suite"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// forged returns a root file with another generation and a valid unkeyed hash, as can be
// made without knowing the root.
func forged(raw []byte, generation uint64) []byte {
	b := bytes.Clone(raw)
	binary.BigEndian.PutUint64(b[25:], generation)
	sum := suite.ID(b[7]).Hash(b[:len(b)-32])
	return append(b[:len(b)-32], sum[:]...)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	must(t, os.WriteFile(path, b, 0o600))
}

// TestOneRootFileIsEnough: after any fault of one copy of the root file the other opens
// the store, and then both are equal.
func TestOneRootFileIsEnough(t *testing.T) {
	cfg := config(t, storetest.NewMemory())
	s := create(t, cfg)
	older := read(t, filepath.Join(cfg.Dir, "root"))
	must(t, s.ReplaceProtectors(t.Context(), []keystore.Protector{{ID: "2"}}, nil))
	checked(t, s)
	good := read(t, filepath.Join(cfg.Dir, "root"))
	flipped := bytes.Clone(good)
	flipped[60] ^= 1
	for name, bad := range map[string][]byte{
		"missing": nil, "empty": {}, "cut": good[:len(good)-1], "flipped": flipped, "older": older,
		"forged": forged(good, 99), "forged older": forged(older, 99), "huge": make([]byte, 2<<20),
	} {
		for _, file := range []string{"root", "root.copy"} {
			t.Run(name+" "+file, func(t *testing.T) {
				write(t, filepath.Join(cfg.Dir, file), bad)
				if bad == nil {
					must(t, os.Remove(filepath.Join(cfg.Dir, file)))
				}
				s, err := reopen(cfg)
				must(t, err)
				if p := s.Root().Protectors; len(p) != 1 || p[0].ID != "2" {
					t.Errorf("protectors after Open: %v, want the one with id 2", p)
				}
				checked(t, s)
				for _, file := range []string{"root", "root.copy"} {
					if !bytes.Equal(read(t, filepath.Join(cfg.Dir, file)), good) {
						t.Errorf("%s was not repaired", file)
					}
				}
			})
		}
	}
}

func TestNoRootFile(t *testing.T) {
	cfg := config(t, storetest.NewMemory())
	s := create(t, cfg)
	one, two := filepath.Join(cfg.Dir, "root"), filepath.Join(cfg.Dir, "root.copy")
	older := read(t, one)
	must(t, s.ReplaceProtectors(t.Context(), nil, nil))
	checked(t, s)
	good := read(t, one)
	for name, c := range map[string]struct {
		one, two []byte
		want     error
	}{
		"both older":   {older, older, keystore.ErrRolledBack},
		"both damaged": {good[1:], good[1:], keystore.ErrCorrupt},
		"both forged":  {forged(good, 9), forged(good, 9), keystore.ErrUnlock},
		"both missing": {nil, nil, keystore.ErrNoStore},
		"none but bad": {nil, good[1:], keystore.ErrCorrupt},
	} {
		for path, b := range map[string][]byte{one: c.one, two: c.two} {
			write(t, path, b)
			if b == nil {
				must(t, os.Remove(path))
			}
		}
		if _, err := reopen(cfg); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	write(t, one, good)
	s, err := reopen(cfg)
	must(t, err)
	checked(t, s)
}

// TestRootFileFromBeforeRekey: a root file from before a Rekey is reported as older, not
// as damaged.
func TestRootFileFromBeforeRekey(t *testing.T) {
	cfg := config(t, storetest.NewMemory())
	s := create(t, cfg)
	one, two := filepath.Join(cfg.Dir, "root"), filepath.Join(cfg.Dir, "root.copy")
	older := read(t, one)
	must(t, s.Rekey(t.Context(), keystore.Rekeying{Root: bytes.Repeat([]byte{9}, 32)}))
	checked(t, s)
	good := read(t, one)
	write(t, one, older)
	write(t, two, older)
	if _, err := reopen(cfg); !errors.Is(err, keystore.ErrRolledBack) {
		t.Errorf("Open with root files from before a Rekey: %v, want ErrRolledBack", err)
	}
	write(t, one, good)
	cfg.Root = bytes.Repeat([]byte{9}, 32)
	s, err := reopen(cfg)
	must(t, err)
	checked(t, s)
}

// TestReplaceCutAnywhere: wherever a replacement of the protectors is interrupted, either
// both the change and its audit record are there, or neither.
func TestReplaceCutAnywhere(t *testing.T) {
	for cut := 1; ; cut++ {
		cfg := config(t, storetest.NewMemory())
		steps, err := cutAt(t, &cfg, cut, func(s *keystore.Store) error {
			return s.ReplaceProtectors(t.Context(), []keystore.Protector{{ID: "new"}}, func(tx *keystore.Tx) error {
				tx.Put("replaced", []byte("yes"))
				tx.Log(func(seq uint64) []byte { return fmt.Appendf(nil, "replaced %d", seq) })
				return nil
			})
		})
		s, openErr := reopen(cfg)
		if openErr != nil {
			t.Fatalf("cut at %v (%v): Open: %v", steps, err, openErr)
		}
		changed, recorded := len(s.Root().Protectors) == 1, s.LogState().Size == 2
		if changed != recorded || recorded != (s.Version("replaced") > 0) || err == nil && !changed {
			t.Errorf("cut at %v: changed %v, recorded %v, want both or neither", steps, changed, recorded)
		}
		if _, err := os.Stat(filepath.Join(cfg.Dir, "root.next")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("cut at %v: root.next was left", steps)
		}
		checked(t, s)
		if err == nil {
			return
		}
	}
}

// cutAt makes a store, runs op with its step number cut and all later ones failing, as
// after a crash, and closes the store. It returns the steps reached and op's error.
func cutAt(t *testing.T, cfg *keystore.Config, cut int, op func(*keystore.Store) error) ([]string, error) {
	t.Helper()
	armed, crash := false, errors.New("crash")
	var steps []string
	cfg.SetStep(func(name string) error {
		if armed {
			if steps = append(steps, name); len(steps) >= cut {
				return crash
			}
		}
		return nil
	})
	s := create(t, *cfg)
	armed = true
	err := op(s)
	s.Close()
	cfg.SetStep(nil)
	return steps, err
}

// TestHealingIsRecordedFirst: a root file is repaired only after the repair has been
// recorded, wherever a crash interrupts the Open that repairs it.
func TestHealingIsRecordedFirst(t *testing.T) {
	for _, file := range []string{"root", "root.copy"} {
		for cut := 1; ; cut++ {
			cfg := config(t, storetest.NewMemory())
			checked(t, create(t, cfg))
			path := filepath.Join(cfg.Dir, file)
			bad := forged(read(t, path), 99)
			write(t, path, bad)
			var faults []keystore.FileFault
			cfg.Healed = func(tx *keystore.Tx, f []keystore.FileFault) {
				faults = f
				tx.Log(func(seq uint64) []byte { return fmt.Appendf(nil, "healed %d", seq) })
			}
			steps, crash := 0, errors.New("crash")
			cfg.SetStep(func(string) error {
				if steps++; steps >= cut {
					return crash
				}
				return nil
			})
			s, openErr := reopen(cfg)
			if openErr == nil {
				checked(t, s)
			}
			b, err := os.ReadFile(path)
			touched := err != nil || !bytes.Equal(b, bad)
			cfg.SetStep(nil)
			cfg.Healed = nil
			s, err = reopen(cfg)
			must(t, err)
			recorded := s.LogState().Size == 2
			if touched && !recorded || openErr == nil && !recorded {
				t.Errorf("%s, cut at step %d: replaced %v, recorded %v, want it recorded before it is replaced", file, cut, touched, recorded)
			}
			checked(t, s)
			if openErr == nil {
				if want := (keystore.FileFault{File: file, Fault: keystore.FaultNotAuthentic}); len(faults) != 1 || faults[0] != want {
					t.Errorf("%s: recorded %v, want %v", file, faults, want)
				}
				break
			}
		}
	}
}

// TestRootFileOfAnotherRoot: a root file with the store's own id and a higher generation
// that is authentic under another root does not count as a newer file of the store.
func TestRootFileOfAnotherRoot(t *testing.T) {
	cfg, theirs := config(t, storetest.NewMemory()), config(t, storetest.NewMemory())
	checked(t, create(t, cfg))
	theirs.Root = bytes.Repeat([]byte{66}, 32)
	ours, err := keystore.ReadRoot(cfg.Dir)
	must(t, err)
	s, err := keystore.Create(t.Context(), theirs, keystore.Root{VaultID: ours.VaultID}, fill)
	must(t, err)
	for range 3 {
		must(t, s.ReplaceProtectors(t.Context(), []keystore.Protector{{ID: "theirs"}}, nil))
	}
	checked(t, s)
	cfg.Roots = [][]byte{theirs.Root}
	var faults []keystore.FileFault
	cfg.Healed = func(_ *keystore.Tx, f []keystore.FileFault) { faults = f }
	for _, file := range []string{"root", "root.copy", "root.next"} {
		write(t, filepath.Join(cfg.Dir, file), read(t, filepath.Join(theirs.Dir, "root")))
		s, err := keystore.Open(t.Context(), cfg, ours)
		if err != nil {
			t.Errorf("Open with %s authentic under another root: %v", file, err)
			continue
		}
		checked(t, s)
		if want := (keystore.FileFault{File: file, Fault: keystore.FaultOtherStore}); len(faults) != 1 || faults[0] != want {
			t.Errorf("%s: recorded %v, want %v", file, faults, want)
		}
	}
}
