//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"strongroom.example/driver/soft"
	"strongroom.example/internal/testing/heavy"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/vault"
)

// newVault makes a vault with a key k in a directory for the test, and returns the flags
// that open it.
func newVault(t *testing.T) (dir string, flags []string) {
	t.Helper()
	dir = t.TempDir()
	t.Setenv("STRONGROOM_CONFIG", filepath.Join(dir, "config.json"))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "key")
	flags = []string{"--dir", filepath.Join(dir, "v"), "--unlock", "key-file:" + key}
	run(t, "", append(flags, "init", "--protector", "new-key-file:"+key)...)
	run(t, "", append(flags, "keys", "create", "--alias", "k")...)
	return dir, flags
}

// command returns a command of the program, which TestMain puts into the path.
func command(flags ...string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	cmd, stderr = exec.Command("strongroom", flags...), new(bytes.Buffer)
	cmd.Stderr = stderr
	return cmd, stderr
}

func run(t *testing.T, stdin string, flags ...string) string {
	t.Helper()
	cmd, stderr := command(flags...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", flags, err, stderr)
	}
	return string(out)
}

func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
}

// TestInterruptedSeal interrupts seal in the middle of its input. No half file stays, and
// the vault is not in use.
func TestInterruptedSeal(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			_, flags := newVault(t)
			out := filepath.Join(t.TempDir(), "out")
			cmd, stderr := command(append(flags, "seal", "k", "--out", out)...)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			start(t, cmd)
			if _, err := in.Write(make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			poll.Until(t, "the half file is there", func() bool { return len(entries(t, filepath.Dir(out))) == 1 })
			cmd.Process.Signal(signal)
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(stderr.String(), "interrupted") {
				t.Errorf("exit code %d, want 130: %s", code, stderr)
			}
			if left := entries(t, filepath.Dir(out)); len(left) > 0 {
				t.Errorf("files stay: %v", left)
			}
			run(t, "", append(flags, "status", "--check", "--wait", "0s")...)
		})
	}
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// TestFullPipe lets open write to a pipe that is not read: an interrupt ends it. Without a
// reader it ends by itself.
func TestFullPipe(t *testing.T) {
	dir, flags := newVault(t)
	sealed := filepath.Join(dir, "sealed")
	if err := os.WriteFile(sealed, []byte(run(t, strings.Repeat("x", 1<<20), append(flags, "seal", "k")...)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		act  func(cmd *exec.Cmd, out io.Closer)
		code int
	}{
		"interrupted":    {func(cmd *exec.Cmd, _ io.Closer) { cmd.Process.Signal(os.Interrupt) }, 130},
		"without reader": {func(_ *exec.Cmd, out io.Closer) { out.Close() }, 141},
	} {
		cmd, stderr := command(append(flags, "open", sealed, "--out", "-")...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		start(t, cmd)
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		c.act(cmd, out)
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != c.code {
			t.Errorf("%s: exit code %d, want %d: %s", name, code, c.code, stderr)
		}
		run(t, "", append(flags, "status", "--wait", "0s")...)
	}
}

// TestConstantMemory seals and opens a stream that is larger than the memory that the
// process may use.
func TestConstantMemory(t *testing.T) {
	const most = 200 << 20 // the race detector's own memory included
	size := int64(heavy.Count(t, "STRONGROOM_SEAL_MIB", 300)) << 20
	dir, flags := newVault(t)
	sealed := filepath.Join(dir, "sealed")
	var n counter
	for _, c := range []struct {
		args []string
		in   io.Reader
		out  io.Writer
	}{
		{[]string{"seal", "k", "--out", sealed}, io.LimitReader(zeros{}, size), nil},
		{[]string{"open", sealed, "--out", "-"}, nil, &n},
	} {
		cmd, stderr := command(append(flags, c.args...)...)
		cmd.Stdin, cmd.Stdout = c.in, c.out
		began := time.Now()
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %v: %s", c.args, err, stderr)
		}
		used := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
		t.Logf("%s of %d MiB: %d MiB of memory, %v", c.args[0], size>>20, used>>20, time.Since(began).Round(time.Millisecond))
		if used > most {
			t.Errorf("%v used %d MiB of memory for a stream of %d MiB", c.args, used>>20, size>>20)
		}
	}
	if int64(n) != size {
		t.Errorf("%d bytes come back, want %d", n, size)
	}
}

type zeros struct{}

// Read returns zeros.
func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type counter int64

// Write counts.
func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

// TestInUse has the vault open in this process: the command names it.
func TestInUse(t *testing.T) {
	dir, flags := newVault(t)
	v, err := vault.Open(t.Context(), filepath.Join(dir, "v"), vault.Config{}, soft.KeyFile(filepath.Join(dir, "key")))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	cmd, stderr := command(append(flags, "status", "--wait", "10ms")...)
	cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 5 || !strings.Contains(stderr.String(), fmt.Sprintf("held by process %d", os.Getpid())) {
		t.Errorf("exit code %d, want 5: %s", code, stderr)
	}
	cmd, stderr = command(append(flags, "doctor", "--wait", "0s")...)
	if out, err := cmd.Output(); err != nil || !strings.Contains(string(out), "note  vault") {
		t.Errorf("doctor: %v: %s%s", err, out, stderr)
	}
	waiting, stderr := command(append(flags, "status", "--wait", "60s")...)
	start(t, waiting)
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if err := waiting.Wait(); err != nil {
		t.Errorf("a command that waits: %v: %s", err, stderr)
	}
}

// TestFollow follows the log while another command writes to it.
func TestFollow(t *testing.T) {
	_, flags := newVault(t)
	cmd, stderr := command(append(flags, "audit", "list", "--follow", "--interval", "1s", "-o", "json")...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, cmd)
	lines := bufio.NewScanner(out)
	next := func(text string) (seen string) {
		for lines.Scan() {
			seen += lines.Text() + "\n"
			if strings.Contains(lines.Text(), text) {
				return seen
			}
		}
		t.Fatalf("the log ends without %s: %s\n%s", text, seen, stderr)
		return ""
	}
	next("CreateKey")
	run(t, "", append(flags, "keys", "rotate", "k", "--wait", "30s")...)
	if seen := next("RotateKey"); strings.Contains(seen, "ReadAudit") {
		t.Errorf("the command follows itself: %s", seen)
	}
	cmd.Process.Signal(os.Interrupt)
	io.Copy(io.Discard, out)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, want 130: %s", code, stderr)
	}
}
