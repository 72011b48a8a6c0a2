//go:build unix

package testtoken

import (
	"os"
	"testing"
)

// NewTPM2PKCS11 prepares libtpm2-pkcs11 over a software TPM. The caller initialises its
// token, with SOPIN, PIN and the label. The module reads the addresses of its TPM and its
// store from the environment when it is initialised, so that a process can have one such
// token at a time.
func NewTPM2PKCS11(t testing.TB) PKCS11 {
	t.Helper()
	module := find(t, "libtpm2_pkcs11.so", "libtpm2-pkcs11-1", "pkcs11")
	tpm := NewSWTPM(t)
	for name, value := range map[string]string{
		"TPM2_PKCS11_TCTI":      "swtpm:path=" + tpm.Socket(),
		"TPM2_PKCS11_STORE":     t.TempDir(),
		"TPM2_PKCS11_BACKEND":   "esysdb",
		"TPM2_PKCS11_LOG_LEVEL": "0",
		"TSS2_LOG":              "all+none",
	} {
		old, had := os.LookupEnv(name)
		os.Setenv(name, value)
		t.Cleanup(func() {
			if had {
				os.Setenv(name, old)
			} else {
				os.Unsetenv(name)
			}
		})
	}
	return PKCS11{Module: module, Label: freshLabel(), PINFile: writePIN(t)}
}
