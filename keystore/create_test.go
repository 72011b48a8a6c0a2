package keystore_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"strongroom.example/keystore/storetest"
)

// TestCreatedDirectoriesAreDurable: the directories that Create makes are durable before
// the root file is written.
func TestCreatedDirectoriesAreDurable(t *testing.T) {
	cfg := config(t, storetest.NewMemory())
	top := t.TempDir()
	must(t, os.Symlink(top, filepath.Join(top, "link")))
	cfg.Dir = filepath.Join(top, "link", "a", "b", "v")
	var steps []string
	cfg.SetStep(func(name string) error {
		steps = append(steps, name)
		return nil
	})
	checked(t, create(t, cfg))
	above, unmark := slices.Index(steps, "sync above"), slices.Index(steps, "unmark")
	if above < 0 || unmark < above {
		t.Errorf("the steps of Create are %q, want \"sync above\" before \"unmark\"", steps)
	}
}
