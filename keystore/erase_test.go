package keystore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// TestLeftRootFilesAreErased: wherever a replacement is interrupted, the next Open
// overwrites the files that it left; open handles of them read zeros.
func TestLeftRootFilesAreErased(t *testing.T) {
	for cut := 1; ; cut++ {
		cfg := config(t, storetest.NewMemory())
		_, cutErr := cutAt(t, &cfg, cut, func(s *keystore.Store) error {
			return s.ReplaceProtectors(t.Context(), []keystore.Protector{{ID: "new"}}, nil)
		})
		var left []*os.File
		for _, name := range []string{"root.old", "root.next", "root.new", "root.copy.new"} {
			if path := filepath.Join(cfg.Dir, name); exists(path) {
				left = append(left, held(t, path))
			}
		}
		s, err := reopen(cfg)
		must(t, err)
		checked(t, s)
		for _, f := range left {
			if b := readHeld(t, f); !bytes.Equal(b, make([]byte, len(b))) {
				t.Errorf("cut at step %d: %s still has its bytes", cut, f.Name())
			}
		}
		if cutErr == nil {
			return
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
