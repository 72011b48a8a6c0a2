// Package demo has what the examples share: a directory that is removed at the end, the
// openssl command, and devices. Where the machine has no device, a throw-away emulator
// stands in.
package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

// ErrMissing: a program that the example needs is not installed. The text names its package.
var ErrMissing = errors.New("not installed")

// Run is the body of an example. It writes files below dir only, and prints to w what it
// does.
type Run func(ctx context.Context, w io.Writer, dir string) error

// Main runs an example in a temporary directory, which it removes afterwards. It is the
// whole main function: it ends the process with status 1 if the example fails.
func Main(run Run) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	dir, err := os.MkdirTemp("", "strongroom-example-")
	if err == nil {
		err = run(ctx, os.Stdout, dir)
		os.RemoveAll(dir)
	}
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(1)
	}
}

// OpenSSL runs the openssl command in dir, prints the command line to w, and returns what
// openssl printed. The arguments must hold no secret, because other users can read them.
func OpenSSL(ctx context.Context, w io.Writer, dir string, args ...string) (string, error) {
	if _, err := exec.LookPath("openssl"); err != nil {
		return "", fmt.Errorf("openssl is %w: install the package openssl", ErrMissing)
	}
	fmt.Fprintln(w, "$ openssl", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, "openssl", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("openssl: %w: %s", err, bytes.TrimSpace(out))
	}
	return string(bytes.TrimSpace(out)), nil
}
