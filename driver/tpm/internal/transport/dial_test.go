package transport

import (
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAbsolute checks that Open resolves a path once, and leaves other addresses
// unchanged.
func TestAbsolute(t *testing.T) {
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
		if got := absolute(device); got != want {
			t.Errorf("absolute(%q) = %q, want %q", device, got, want)
		}
	}
}

// TestRemedies checks the remedy for each error of the system about a device.
func TestRemedies(t *testing.T) {
	for err, word := range map[error]string{
		syscall.EACCES: "group tss",
		syscall.EBUSY:  "/dev/tpmrm0",
		syscall.ENOENT: "leave the device empty",
	} {
		if got := withRemedy(&fs.PathError{Op: "open", Path: "/dev/tpm0", Err: err}).Error(); !strings.Contains(got, word) || !strings.Contains(got, "/dev/tpm0") {
			t.Errorf("the error %q does not contain %q", got, word)
		}
	}
}
