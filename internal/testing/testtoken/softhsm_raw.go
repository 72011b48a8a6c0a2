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

// A RawLoop is a C program that calls a token in a bare loop, as the baseline for a
// driver.
type RawLoop struct {
	in  io.Writer
	out io.Reader
}

// NewRawLoop builds the program. The program logs in to the token with the PIN of the
// token's file, and finds the key with the id (hexadecimal). operation is "hmac" (60
// bytes), "ecdsa" (P-256) or "rsa" (PKCS #1 v1.5).
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
	cmd := exec.Command(program, token.Module, token.Label, token.PINFile, id, operation, token.Args)
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

// A Cost is the cost of one operation: wall-clock time and processor time, each divided
// by the number of operations of all threads.
type Cost struct{ Wall, CPU time.Duration }

// Run runs the loop for a duration in a number of threads.
func (r RawLoop) Run(t testing.TB, d time.Duration, threads int) Cost {
	t.Helper()
	fmt.Fprintln(r.in, d.Milliseconds(), threads)
	var operations, wall, cpu time.Duration
	if _, err := fmt.Fscan(r.out, (*int64)(&operations), (*int64)(&wall), (*int64)(&cpu)); err != nil || operations == 0 {
		t.Fatalf("the raw loop answers nothing: %v", err)
	}
	return Cost{wall / operations, cpu / operations}
}
