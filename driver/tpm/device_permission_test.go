//go:build unix

package tpm_test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
)

// The uid and gid of a user without permissions.
const nobody = 65534

// TestPermissionDenied opens a device and a socket that the user of this program may not
// use. Root may use everything; therefore, if root runs the tests, an unprivileged child
// process runs this one again.
func TestPermissionDenied(t *testing.T) {
	const variable = "STRONGROOM_TEST_DENIED"
	dir := os.Getenv(variable)
	if dir == "" {
		dir = deniedDir(t)
	}
	if os.Getuid() == 0 {
		again := asNobody(t, dir)
		again.Env = append(os.Environ(), variable+"="+dir)
		out, err := again.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestPermissionDenied/socket (") {
			t.Fatalf("the test run by an unprivileged user: %v\n%s", err, out)
		}
		return
	}
	for name, c := range map[string]struct {
		prefix string
		says   []string
	}{
		"device": {"", []string{"open ", "permission denied", "group tss", "usermod -aG tss"}},
		"socket": {"unix:", []string{"dial ", "permission denied", "may not use the socket", "chmod"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name)
			d, err := tpm.Open(t.Context(), tpm.Config{Device: c.prefix + path})
			if err == nil {
				d.Close()
			}
			oneLine(t, err, driver.Unavailable, append(c.says, path)...)
		})
	}
}

// deniedDir creates a device file and a socket that only root may use.
func deniedDir(t *testing.T) string {
	t.Helper()
	dir := publicDir(t)
	device := filepath.Join(dir, "device")
	if err := os.WriteFile(device, nil, 0); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := os.Chmod(socket, 0); err != nil {
		t.Fatal(err)
	}
	return dir
}

// publicDir creates a directory with a short path that every user may read.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// asNobody returns the command that runs the calling test as an unprivileged user, from a
// copy of this program that such a user can read.
func asNobody(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	program := filepath.Join(dir, "test")
	copyProgram(t, program)
	c := exec.Command(program, "-test.v", "-test.run=^"+t.Name()+"$")
	c.Dir = dir
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return c
}

func copyProgram(t *testing.T, to string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, from); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
