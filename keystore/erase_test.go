package keystore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// Wherever a replacement is cut, what it leaves is overwritten at the next Open: links
// to it show zeros.
func TestLeftRootFilesAreErased(t *testing.T) {
	for cut := 1; ; cut++ {
		cfg := config(t, storetest.NewMemory())
		_, cutErr := cutAt(t, &cfg, cut, func(s *keystore.Store) error {
			return s.ReplaceProtectors(t.Context(), []keystore.Protector{{ID: "new"}}, nil)
		})
		var left []string
		for _, name := range []string{"root.old", "root.next", "root.new", "root.copy.new"} {
			link := filepath.Join(t.TempDir(), name)
			if os.Link(filepath.Join(cfg.Dir, name), link) == nil {
				left = append(left, link)
			}
		}
		s, err := reopen(cfg)
		must(t, err)
		checked(t, s)
		for _, link := range left {
			if b := read(t, link); !bytes.Equal(b, make([]byte, len(b))) {
				t.Errorf("cut at step %d: %s still has its bytes", cut, filepath.Base(link))
			}
		}
		if cutErr == nil {
			return
		}
	}
}
