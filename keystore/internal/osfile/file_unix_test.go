//go:build unix

package osfile

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestInterruptedCallsAreRetried: a system call that a signal interrupts is repeated;
// other errors are returned at once.
func TestInterruptedCallsAreRetried(t *testing.T) {
	for _, last := range []error{nil, unix.ENOLCK, unix.EWOULDBLOCK} {
		calls := 0
		err := retried(func() error {
			if calls++; calls < 4 {
				return unix.EINTR
			}
			return last
		})
		if err != last || calls != 4 {
			t.Errorf("retried: %v after %d calls, want %v after 4", err, calls, last)
		}
	}
}

// TestSyncAbove: a directory above the store that cannot be synced, because this user
// cannot write there, is not an error.
func TestSyncAbove(t *testing.T) {
	for _, dir := range []string{filepath.Join(t.TempDir(), "a"), "/proc/self/a", "/", "/a"} {
		if err := SyncAbove(dir); err != nil {
			t.Errorf("SyncAbove(%s): %v", dir, err)
		}
	}
	if SyncAbove(filepath.Join(t.TempDir(), "missing", "a")) == nil && SyncPath("missing") != nil {
		t.Error("SyncAbove of a missing directory returned nil")
	}
}
