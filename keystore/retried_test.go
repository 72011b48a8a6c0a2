//go:build unix

package keystore

import (
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
