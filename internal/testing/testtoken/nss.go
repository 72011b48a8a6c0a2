package testtoken

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// fewIterations bounds the work that NSS spends on a password for each use of a key.
// Disposable keys need no protection.
const fewIterations = "NSS_MAX_MP_PBE_ITERATION_COUNT"

// NewNSS creates an empty key database for the NSS softoken. The module supports one
// database in a process, always with the same label.
func NewNSS(t testing.TB) PKCS11 {
	t.Helper()
	module := find(t, "libsoftokn3.so", "libnss3", "nss")
	if _, err := exec.LookPath("certutil"); err != nil {
		missing(t, "certutil", "libnss3-tools")
	}
	pin := writePIN(t)
	dir, err := os.MkdirTemp(memoryDir(), "nss")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if out, err := exec.Command("certutil", "-N", "-d", "sql:"+dir, "-f", pin).CombinedOutput(); err != nil {
		t.Fatalf("certutil: %v\n%s", err, out)
	}
	return PKCS11{
		Module:  module,
		Args:    fmt.Sprintf("configdir='sql:%s' certPrefix='' keyPrefix='' secmod='secmod.db' flags=", dir),
		Label:   "NSS Certificate DB",
		PINFile: pin,
		Dir:     dir,
		Whole:   true,
	}
}
