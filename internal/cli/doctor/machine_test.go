//go:build unix

package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSwap(t *testing.T) {
	const heading = "Filename\tType\tSize\tUsed\tPriority\n"
	dir := t.TempDir()
	write(t, filepath.Join(dir, "dm-1", "dm", "uuid"), "CRYPT-PLAIN-swap\n")
	write(t, filepath.Join(dir, "dm-2", "dm", "uuid"), "LVM-abc\n")
	for swaps, want := range map[string]Level{
		heading: OK,
		heading + "/dev/zram0 partition 1 0 100\n":                      OK,
		heading + "/dev/dm-1 partition 1 0 -2\n":                        OK,
		heading + "/dev/dm-2 partition 1 0 -2\n":                        Warn,
		heading + "/dev/dm-1 partition 1 0 -2\n/swapfile file 1 0 -3\n": Warn,
	} {
		got := swap(write(t, filepath.Join(t.TempDir(), "swaps"), swaps), dir)
		if len(got) != 1 || got[0].Level != want {
			t.Errorf("swap of %q: %v, want %s", swaps, got, want)
		}
	}
	if got := swap(filepath.Join(dir, "absent"), dir); got != nil {
		t.Errorf("swap without /proc/swaps: %v", got)
	}
}

func TestCorePattern(t *testing.T) {
	for pattern, want := range map[string]Level{
		"core\n": OK,
		"|/usr/lib/systemd/systemd-coredump %P %u\n": Note,
	} {
		got := corePattern(write(t, filepath.Join(t.TempDir(), "core_pattern"), pattern))
		if len(got) != 1 || got[0].Level != want {
			t.Errorf("core pattern %q: %v, want %s", pattern, got, want)
		}
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	os.Chmod(dir, 0o700)
	path := write(t, filepath.Join(dir, "store", "redo"), "")
	if f := files(dir); f.Level != OK {
		t.Errorf("files that are right: %v", f)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if f := files(dir); f.Level != Fail || !strings.Contains(f.Text, "redo has mode 640") {
		t.Errorf("a file that the group reads: %v", f)
	}
	os.Chmod(path, 0o600)
	if f := files(filepath.Join(dir, "absent")); f.Level != Fail {
		t.Errorf("no directory: %v", f)
	}
}

func TestFilesOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("only root gives files away")
		}
		t.Skip("only root gives files away")
	}
	dir := t.TempDir()
	os.Chmod(dir, 0o700)
	if err := os.Chown(write(t, filepath.Join(dir, "tip"), ""), 54321, -1); err != nil {
		t.Fatal(err)
	}
	if f := files(dir); f.Level != Fail || !strings.Contains(f.Text, "belongs to user 54321") {
		t.Errorf("a file of another user: %v", f)
	}
}

func TestMachine(t *testing.T) {
	areas := make(map[string]bool)
	for _, f := range Machine(t.TempDir()) {
		areas[f.Area] = true
		if f.Text == "" || f.NeedsAction() && f.Remedy == "" {
			t.Errorf("a finding without text or remedy: %+v", f)
		}
	}
	for _, area := range []string{"locked memory", "disk", "files"} {
		if !areas[area] {
			t.Errorf("%s was not looked at", area)
		}
	}
}
