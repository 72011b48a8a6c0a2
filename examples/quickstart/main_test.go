package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRun runs the quickstart over a small file, from the new vault to the damage that is
// found.
func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "letter.txt")
	if err := os.WriteFile(file, []byte("pay 4711 to the bearer"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), t.TempDir(), []string{file}); err != nil {
		t.Fatalf("the quickstart: %v", err)
	}
}
