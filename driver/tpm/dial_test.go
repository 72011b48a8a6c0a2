package tpm

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestAbsoluteDevice checks that Open resolves a path once, and leaves other addresses
// unchanged.
func TestAbsoluteDevice(t *testing.T) {
	dir, err := filepath.EvalSymlinks("/tmp")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	long := "unix:" + strings.Repeat("a", 104)
	for device, want := range map[string]string{
		"":                   "",
		"/dev/tpmrm0":        "/dev/tpmrm0",
		"tpm":                filepath.Join(dir, "tpm"),
		"unix:socket":        "unix:" + filepath.Join(dir, "socket"),
		"unix:/run/socket":   "unix:/run/socket",
		"unix:@abstract":     "unix:@abstract",
		"tcp:localhost:2321": "tcp:localhost:2321",
		long:                 long,
	} {
		if got := absoluteDevice(device); got != want {
			t.Errorf("absoluteDevice(%q) = %q, want %q", device, got, want)
		}
	}
}
