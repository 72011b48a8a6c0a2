package testtoken

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

// find returns the path of a module below the usual directories for libraries.
func find(t testing.TB, file, debian string, below ...string) string {
	t.Helper()
	for _, dir := range []string{"/usr/lib/*-linux-gnu*", "/usr/lib64", "/usr/lib", "/usr/local/lib", "/opt/homebrew/lib"} {
		for _, sub := range append(below, "") {
			// The pattern is well formed, so there is no error to look at.
			if paths, _ := filepath.Glob(filepath.Join(dir, sub, file)); len(paths) > 0 {
				return paths[0]
			}
		}
	}
	missing(t, file, debian)
	return ""
}

// memoryDir is where files that are synced all the time are best kept; empty for the
// ordinary place.
func memoryDir() string {
	const shared = "/dev/shm"
	if info, err := os.Stat(shared); err == nil && info.IsDir() {
		return shared
	}
	return ""
}

// freshLabel returns a label of 16 characters that no other token has.
func freshLabel() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// writePIN writes the user PIN to a file as a program wants it.
func writePIN(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(path, []byte(PIN+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
