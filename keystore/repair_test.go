package keystore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/badger"
)

// onDisk is a configuration with the engine that vaults have.
func onDisk(t *testing.T, dir string) keystore.Config {
	t.Helper()
	cfg := config(t, nil)
	cfg.Dir, cfg.OpenEngine = dir, nil
	cfg.OpenKeyedEngine, cfg.Salvage = badger.OpenEngine, badger.Salvage
	return cfg
}

// filesBelow reads every file below dir.
func filesBelow(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files[strings.TrimPrefix(path, dir+"/")], err = os.ReadFile(path)
		}
		return err
	}))
	return files
}

// planted makes a directory of the files.
func planted(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		write(t, filepath.Join(dir, name), b)
	}
	return dir
}

// repairTry calls Repair and returns its report. The store is closed.
func repairTry(t *testing.T, cfg keystore.Config) (keystore.RepairReport, error) {
	t.Helper()
	root, err := keystore.ReadRoot(cfg.Dir)
	must(t, err)
	s, report, err := keystore.Repair(t.Context(), cfg, root, noteRepair)
	if err == nil {
		must(t, s.Check(t.Context()))
		must(t, s.Close())
	}
	return report, err
}

func noteRepair(tx *keystore.Tx, r keystore.RepairReport) {
	tx.Log(func(uint64) []byte { return fmt.Appendf(nil, "repaired: %d to %d lost", r.LostFrom, r.LostTo) })
}

// lived returns the files of a store with five materials, of which one was destroyed, and
// the state of its log. At the end are commits of audit records alone.
func lived(t *testing.T) (map[string][]byte, keystore.LogState) {
	t.Helper()
	cfg := onDisk(t, t.TempDir())
	s := withMaterial(t, cfg, 6)
	must(t, s.ChangeEpoch(t.Context(), deletion("m/due")))
	must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error { tx.Put("meta", []byte("newest")); return nil }))
	for range 3 {
		must(t, s.Commit(t.Context(), logLeaf))
	}
	end := s.LogState()
	must(t, s.Close())
	return filesBelow(t, cfg.Dir), end
}

func logLeaf(tx *keystore.Tx) error {
	tx.Log(func(seq uint64) []byte { return fmt.Appendf(nil, "leaf %d", seq) })
	return nil
}

// isWhole opens the store and checks that it has the newest state of lived, and no
// destroyed material.
func isWhole(t *testing.T, cfg keystore.Config) {
	t.Helper()
	s, err := reopen(cfg)
	if err != nil {
		t.Errorf("Open: %v", err)
		return
	}
	checkRemaining(t, s, 5)
	if _, err := s.Get(t.Context(), "m/due"); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("Get of destroyed material: %v, want ErrNotFound", err)
	}
	meta, err := s.Get(t.Context(), "meta")
	if err != nil || string(meta.Value) != "newest" {
		t.Errorf("meta is %q, %v, want the newest", meta.Value, err)
	}
	checked(t, s)
}

// without returns a copy of files without those whose names begin with one of the
// prefixes.
func without(files map[string][]byte, prefixes ...string) map[string][]byte {
	out := maps.Clone(files)
	maps.DeleteFunc(out, func(name string, _ []byte) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	})
	return out
}

// TestRepairContinuesTheTree: after the engine, or a part of it, is lost, the log goes on
// at its newest size with the same root, and the report names the lost records. The
// journal alone knows the size at its newest entry.
func TestRepairContinuesTheTree(t *testing.T) {
	files, end := lived(t)
	for _, row := range []struct {
		name string
		left map[string][]byte
		lost uint64 // number of records
		to   uint64
	}{
		{"the engine", without(files, "store"), end.Size, end.Size},
		{"the redo log", without(files, "store/redo"), end.Size, end.Size},
		{"the engine's epoch", without(files, "store/epoch"), 0, end.Size},
		{"the tip", without(files, "tip"), 0, end.Size},
		{"the journal and the epoch", without(files, "journal", "store/epoch"), 0, end.Size},
		{"engine and tip", without(files, "store", "tip"), end.Size - 3, end.Size - 3},
	} {
		cfg := onDisk(t, planted(t, row.left))
		report, err := repairTry(t, cfg)
		if err != nil || !report.Rebuilt || report.LostTo != row.to || report.LostTo-report.LostFrom != row.lost {
			t.Errorf("without %s: %+v, %v; want %d records lost, up to %d", row.name, report, err, row.lost, row.to)
			continue
		}
		if row.to == end.Size && report.LogRoot != end.Root {
			t.Errorf("without %s: the tree has another root", row.name)
		}
		isWhole(t, cfg)
		if again, err := repairTry(t, cfg); err != nil || again.Rebuilt {
			t.Errorf("without %s: the second Repair: %+v, %v; want no change", row.name, again, err)
		}
	}
}

// TestRepairRefuses: without root files, without journal and engine, or with an older
// journal and no engine, Repair names what is missing and changes nothing.
func TestRepairRefuses(t *testing.T) {
	cfg := onDisk(t, t.TempDir())
	s := withMaterial(t, cfg, 5)
	older := read(t, filepath.Join(cfg.Dir, "journal"))
	must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error { tx.Put("meta", []byte("newest")); return nil }))
	must(t, s.Close())
	files := filesBelow(t, cfg.Dir)
	old := without(files, "store")
	old["journal"] = older
	for name, left := range map[string]map[string][]byte{
		"journal and engine": without(files, "store", "journal"),
		"journal and redo":   without(files, "store/redo", "journal"),
		"an older journal":   old,
	} {
		cfg := onDisk(t, planted(t, left))
		before := filesBelow(t, cfg.Dir)
		if _, err := reopen(cfg); err == nil || strings.Contains(err.Error(), "Repair can") {
			t.Errorf("without %s: Open: %v, want an error that does not name Repair", name, err)
		}
		if _, err := repairTry(t, cfg); !errors.Is(err, keystore.ErrCorrupt) && !errors.Is(err, keystore.ErrRolledBack) {
			t.Errorf("without %s: Repair: %v, want ErrCorrupt or ErrRolledBack", name, err)
		}
		if after := without(filesBelow(t, cfg.Dir), "store"); !maps.EqualFunc(after, without(before, "store"), bytes.Equal) {
			t.Errorf("without %s: Repair changed files", name)
		}
	}
}

// TestOlderCopiesAfterRepair: parts of the store from before the damage are recognised
// after Repair.
func TestOlderCopiesAfterRepair(t *testing.T) {
	files, _ := lived(t)
	cfg := onDisk(t, planted(t, without(files, "store/redo")))
	_, err := repairTry(t, cfg)
	must(t, err)
	repaired := filesBelow(t, cfg.Dir)
	for name, parts := range map[string][]string{
		"engine": {"store/"}, "engine and tip": {"store/", "tip"}, "engine and journal": {"store/", "journal"}, "tip": {"tip"},
	} {
		back := without(repaired, parts...)
		for file, b := range files {
			if slices.ContainsFunc(parts, func(p string) bool { return strings.HasPrefix(file, p) }) {
				back[file] = b
			}
		}
		cfg := onDisk(t, planted(t, back))
		s, err := reopen(cfg)
		if name == "tip" && err == nil { // the tip may be older than the store
			checked(t, s)
			continue
		}
		if !errors.Is(err, keystore.ErrRolledBack) && !errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("Open with the %s from before the repair: %v, want ErrRolledBack", name, err)
		}
	}
	old := maps.Clone(repaired)
	old["journal"] = files["journal"]
	cfg = onDisk(t, planted(t, old))
	if got := healed(t, cfg); len(got) > 1 {
		t.Errorf("Open with the journal from before the repair recorded %v", got)
	}
	isWhole(t, cfg)
}

// TestRepairKilledAnywhere kills Repair before each of its steps. Open or a second Repair
// finishes, whatever was damaged, and nothing is lost.
func TestRepairKilledAnywhere(t *testing.T) {
	files, _ := lived(t)
	killed := errors.New("killed")
	for name, left := range map[string]map[string][]byte{
		"engine": without(files, "store"), "redo": without(files, "store/redo"), "tip": without(files, "tip"),
	} {
		for n := 1; ; n++ {
			cfg := onDisk(t, planted(t, left))
			at, step := 0, ""
			dying := cfg
			dying.SetStep(func(s string) error {
				if at++; at >= n {
					if step == "" {
						step = s
					}
					return killed
				}
				return nil
			})
			_, err := repairTry(t, dying)
			if step == "" {
				must(t, err)
				if n < 12 {
					t.Errorf("%s: Repair has %d steps, want 12 or more", name, n)
				}
				break
			}
			if s, err := reopen(cfg); err == nil {
				must(t, s.Close())
			} else if !strings.Contains(err.Error(), "Repair can") {
				t.Errorf("%s lost, killed before %q: Open: %v, which does not name Repair", name, step, err)
			}
			if _, err := repairTry(t, cfg); err != nil {
				t.Errorf("%s lost, killed before %q: the second Repair: %v", name, step, err)
				continue
			}
			isWhole(t, cfg)
		}
	}
}

// TestRepairCompletesADestruction damages a store in which a destruction of material was
// cut short at each step. After Repair the material is destroyed or the destruction has
// not begun, and the material that was destroyed before stays destroyed.
func TestRepairCompletesADestruction(t *testing.T) {
	files, _ := lived(t)
	killed := errors.New("killed")
	for n := 1; ; n++ {
		cfg := onDisk(t, planted(t, files))
		s, err := reopen(cfg)
		must(t, err)
		must(t, s.Close())
		at, step := 0, ""
		dying := cfg
		armed := false
		dying.SetStep(func(name string) error {
			if !armed {
				return nil
			}
			if at++; at >= n {
				if step == "" {
					step = name
				}
				return killed
			}
			return nil
		})
		s, err = reopen(dying)
		must(t, err)
		armed = true
		err = s.ChangeEpoch(t.Context(), deletion("m/005"))
		armed = false
		left := filesBelow(t, cfg.Dir)
		_ = s.Close()
		if step == "" {
			must(t, err)
			return
		}
		for name, damaged := range map[string]map[string][]byte{"engine": without(left, "store"), "redo": without(left, "store/redo")} {
			cfg := onDisk(t, planted(t, damaged))
			if _, err := repairTry(t, cfg); err != nil {
				t.Errorf("%s lost after a kill before %q: Repair: %v", name, step, err)
				continue
			}
			s, err := reopen(cfg)
			must(t, err)
			if _, err := s.Get(t.Context(), "m/due"); !errors.Is(err, keystore.ErrNotFound) {
				t.Errorf("%s lost after a kill before %q: destroyed material is back: %v", name, step, err)
			}
			checkRemaining(t, s, 5)
			checked(t, s)
		}
	}
}
