package testtoken

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

//go:embed testdata/rawloop.c
var rawSource []byte

// A RawLoop is a program in C that calls a token in a bare loop, for a driver to be
// measured against.
type RawLoop struct {
	in  io.Writer
	out io.Reader
}

// NewRawLoop makes the program and has it log in to a token, with the throw-away
// tokens' PIN, and find the key with the id (hexadecimal). operation is "hmac" (60
// bytes), "gcm" (1 KiB), "ecdsa" (P-256) or "rsa" (PKCS #1 v1.5).
func NewRawLoop(t testing.TB, token PKCS11, id, operation string) RawLoop {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		missing(t, "gcc", "gcc")
	}
	source, program := filepath.Join(t.TempDir(), "rawloop.c"), filepath.Join(t.TempDir(), "rawloop")
	if err := os.WriteFile(source, rawSource, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-O2", "-o", program, source, "-ldl", "-lpthread").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	cmd := exec.Command(program, token.Module, token.Label, PIN, id, operation)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return RawLoop{in, out}
}

// A Cost is what an operation takes: time by the number of operations of all
// threads, and time of the processor likewise.
type Cost struct{ Wall, CPU time.Duration }

// Run runs the loop for some time in some threads.
func (r RawLoop) Run(t testing.TB, d time.Duration, threads int) Cost {
	t.Helper()
	fmt.Fprintln(r.in, d.Milliseconds(), threads)
	var operations, wall, cpu time.Duration
	if _, err := fmt.Fscan(r.out, (*int64)(&operations), (*int64)(&wall), (*int64)(&cpu)); err != nil || operations == 0 {
		t.Fatalf("the raw loop answers nothing: %v", err)
	}
	return Cost{wall / operations, cpu / operations}
}
