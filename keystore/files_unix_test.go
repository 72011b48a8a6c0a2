//go:build unix

package keystore

import (
	"path/filepath"
	"testing"
)

// TestSyncAbove: a directory above the store that cannot be synced, because this user
// cannot write there, is not an error.
func TestSyncAbove(t *testing.T) {
	for _, dir := range []string{filepath.Join(t.TempDir(), "a"), "/proc/self/a", "/", "/a"} {
		if err := syncAbove(dir); err != nil {
			t.Errorf("syncAbove(%s): %v", dir, err)
		}
	}
	if syncAbove(filepath.Join(t.TempDir(), "missing", "a")) == nil && syncPath("missing") != nil {
		t.Error("syncAbove of a missing directory returned nil")
	}
}
