package pkcs11

import (
	"os"
	"path/filepath"
	"testing"
)

// TestAbsolutePINFile: the PIN file is the one that the path named when the token was
// opened.
func TestAbsolutePINFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"": "", "pin": filepath.Join(here, "pin"), "/run/pin": "/run/pin"} {
		if got, err := (PIN{File: file}).absolute(); err != nil || got.File != want {
			t.Errorf("absolute of the file %q: %q, %v; want %q", file, got.File, err, want)
		}
	}
}
