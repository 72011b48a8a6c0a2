package vault

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCloseBesideAForkedChild: a vault that was closed opens again although a child process,
// which the program forked before and which has not yet begun its own program, still has
// every open file of the vault.
func TestCloseBesideAForkedChild(t *testing.T) {
	v, dir := newTestVault(t, testConfig())
	links, err := filepath.Glob("/proc/self/fd/*")
	must(t, err)
	var forked []int
	for _, link := range links {
		if path, err := os.Readlink(link); err == nil && strings.HasPrefix(path, dir) {
			fd, err := strconv.Atoi(filepath.Base(link))
			must(t, err)
			fd, err = unix.Dup(fd)
			must(t, err)
			forked = append(forked, fd)
		}
	}
	if len(forked) < 3 {
		t.Fatalf("the vault has %d open files, want the directory, the lock and more", len(forked))
	}
	closeChecked(t, v)
	v, err = Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		t.Errorf("Open beside a forked child: %v", err)
	} else {
		closeChecked(t, v)
	}
	for _, fd := range forked {
		must(t, unix.Close(fd))
	}
}
