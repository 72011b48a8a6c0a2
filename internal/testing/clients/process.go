package clients

import (
	"os"
	"os/exec"
	"testing"
)

// Others skips a test of a client that is not written in Go unless STRONGROOM_CLIENTS is set.
func Others(t *testing.T) {
	t.Helper()
	if os.Getenv("STRONGROOM_CLIENTS") != "all" {
		t.Skip("runs clients of other languages with STRONGROOM_CLIENTS=all")
	}
}

// Missing skips a test whose client the machine lacks. With CI=true the test fails instead.
func Missing(t *testing.T, remedy string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(remedy)
	}
	t.Skip(remedy)
}

// Node installs the packages of node/package-lock.json, and returns the directory, which has the
// other files of node too.
func Node(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("node")); err != nil {
		t.Fatal(err)
	}
	Run(t, dir, nil, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	return dir
}

// Run runs a command that succeeds in a directory. env is nil for the environment of the test.
func Run(t *testing.T, dir string, env []string, command string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command, args...)
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %s %v", command, args, out, err)
	}
}
