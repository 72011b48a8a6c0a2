package testtoken

import (
	"errors"
	"os"
	"strings"
	"testing"

	"strongroom.example/internal/pkcs11uri"
)

const (
	prefix    = "STRONGROOM_TEST_PKCS11_"
	ownModule = prefix + "MODULE"
)

// setFromURI sets the other variables from STRONGROOM_TEST_PKCS11_URI, a URI of RFC 7512
// with token, module-path, a pin-source that is a file and, if the module needs it,
// x-args.
func setFromURI() error {
	text := os.Getenv(prefix + "URI")
	if text == "" {
		return nil
	}
	u, err := pkcs11uri.Parse(text)
	if err != nil {
		return err
	}
	pin := strings.TrimPrefix(strings.TrimPrefix(u.Query["pin-source"], "file:"), "//")
	if u.Path["token"] == "" || u.Query["module-path"] == "" || !strings.HasPrefix(pin, "/") {
		return errors.New(prefix + "URI: name token, module-path and a pin-source that is a file")
	}
	for name, value := range map[string]string{
		"MODULE": u.Query["module-path"], "ARGS": u.Query["x-args"], "TOKEN": u.Path["token"], "PIN_FILE": pin,
	} {
		os.Setenv(prefix+name, value)
	}
	return nil
}

// FromEnvironment returns the token that STRONGROOM_TEST_PKCS11_URI names, or that
// STRONGROOM_TEST_PKCS11_MODULE (absolute path), STRONGROOM_TEST_PKCS11_TOKEN (label),
// STRONGROOM_TEST_PKCS11_PIN_FILE and, if the module needs it,
// STRONGROOM_TEST_PKCS11_ARGS name. Tests create and destroy keys in it. It returns false
// if the environment names no token.
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
