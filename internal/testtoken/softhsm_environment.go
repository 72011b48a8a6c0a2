package testtoken

import (
	"os"
	"testing"
)

const (
	prefix    = "STRONGROOM_TEST_PKCS11_"
	ownModule = prefix + "MODULE"
)

// FromEnvironment returns the token that STRONGROOM_TEST_PKCS11_MODULE (absolute
// path), STRONGROOM_TEST_PKCS11_TOKEN (label), STRONGROOM_TEST_PKCS11_PIN_FILE and,
// if the module wants it, STRONGROOM_TEST_PKCS11_ARGS name. Keys are made and
// destroyed in it. It reports false if there is none.
func FromEnvironment(t testing.TB) (PKCS11, bool) {
	t.Helper()
	token := PKCS11{
		Module:  os.Getenv(ownModule),
		Args:    os.Getenv(prefix + "ARGS"),
		Label:   os.Getenv(prefix + "TOKEN"),
		PINFile: os.Getenv(prefix + "PIN_FILE"),
	}
	if token.Module == "" {
		return PKCS11{}, false
	}
	if token.Label == "" || token.PINFile == "" {
		t.Fatalf("%sMODULE is set: set %[1]sTOKEN and %[1]sPIN_FILE as well", prefix)
	}
	return token, true
}
