//go:build linux || darwin

package vault

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestCoreLimit checks the documented behaviour: a program that links this package writes
// no core dumps, whatever limit it was started with, because memguard sets the limit.
func TestCoreLimit(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur != 0 || limit.Max != 0 {
		t.Errorf("RLIMIT_CORE is %+v; README, package comment and SECURITY.md say that it is 0, soft and hard", limit)
	}
}
