//go:build linux

package vault

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestUnwritable: for a directory that is not writable, the error is typed and says so, and
// the directory is unchanged. Root can write everywhere, so the test then runs as an
// unprivileged user in a child process.
func TestUnwritable(t *testing.T) {
	if os.Getuid() == 0 {
		unprivileged(t)
		return
	}
	v, dir := newTestVault(t, testConfig())
	closeChecked(t, v)
	place, lock, p := t.TempDir(), filepath.Join(dir, "lock"), passphrase(t, "correct horse")
	for path, mode := range map[string]os.FileMode{place: 0o500, lock: 0o400} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	defer os.Chmod(place, 0o700)
	create := func(dir string) func() error {
		return func() error { return second(Create(t.Context(), dir, testConfig(), p)) }
	}
	open := func() error { return second(Open(t.Context(), dir, testConfig(), p)) }
	files := func() map[string][32]byte { return digests(t, filepath.Dir(place)) }
	checkRefused(t, []invalidCall{
		{"created inside an unwritable directory", create(filepath.Join(place, "x")), ErrUnavailable, "able to write there"},
		{"created in an unwritable directory", create(place), ErrUnavailable, "able to write there"},
		{"opened in an unwritable directory", open, ErrUnavailable, "able to write there"},
	}, files)
}

// unprivileged runs the test in a process without root's rights.
func unprivileged(t *testing.T) {
	t.Helper()
	// By this name the program is found whatever its directory.
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-edition="+testEdition().String())
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as an unprivileged user: %v\n%s", err, out)
	}
}
