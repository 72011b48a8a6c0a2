package testtoken

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

// find returns the path of a module below the usual library directories.
func find(t testing.TB, file, debian string, below ...string) string {
	t.Helper()
	for _, dir := range []string{"/usr/lib/*-linux-gnu*", "/usr/lib64", "/usr/lib", "/usr/local/lib", "/opt/homebrew/lib"} {
		for _, sub := range append(below, "") {
			// Glob fails only for a malformed pattern.
			if paths, _ := filepath.Glob(filepath.Join(dir, sub, file)); len(paths) > 0 {
				return paths[0]
			}
		}
	}
	missing(t, file, debian)
	return ""
}

// memoryDir returns a directory in memory for files that are synced often, or the empty
// string for the default directory.
func memoryDir() string {
	const shared = "/dev/shm"
	if info, err := os.Stat(shared); err == nil && info.IsDir() {
		return shared
	}
	return ""
}

// freshLabel returns a random label of 16 characters.
func freshLabel() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// writePIN writes the user PIN to a file that only its owner can read.
func writePIN(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(path, []byte(PIN+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
