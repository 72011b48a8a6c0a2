// Package openssltest runs the openssl command in tests. If the command is missing, a
// test that needs it fails where CI is true, and is skipped elsewhere.
package openssltest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A Bench is a directory in which openssl runs. It exists until the test ends.
type Bench struct {
	*testing.T
	Dir string
}

// New returns a Bench with a directory of its own.
func New(t *testing.T) Bench {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the openssl command is missing: install the package openssl")
		}
		t.Skip("needs the openssl command: install the package openssl")
	}
	return Bench{t, t.TempDir()}
}

// Run runs one command line, split at spaces, and returns the output of openssl. A
// command that fails ends the test.
func (b Bench) Run(line string) string {
	b.Helper()
	return b.Exec(strings.Fields(line)...)
}

// Exec is Run for arguments with spaces in them.
func (b Bench) Exec(args ...string) string {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), "openssl", args...)
	cmd.Dir = b.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("openssl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// Write writes a file in the directory.
func (b Bench) Write(name string, content []byte) {
	b.Helper()
	if err := os.WriteFile(filepath.Join(b.Dir, name), content, 0o600); err != nil {
		b.Fatal(err)
	}
}

// Read reads a file of the directory.
func (b Bench) Read(name string) []byte {
	b.Helper()
	content, err := os.ReadFile(filepath.Join(b.Dir, name))
	if err != nil {
		b.Fatal(err)
	}
	return content
}
