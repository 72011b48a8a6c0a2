//go:build cgo && unix

package pkcs11_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/testtoken"
)

// initialiseChild names the module for a child process that only opens it.
const initialiseChild = "STRONGROOM_TEST_INITIALISE"

// TestInitialiseChild is the part of TestInitialiseAdvice that runs in child processes.
func TestInitialiseChild(t *testing.T) {
	module := os.Getenv(initialiseChild)
	if module == "" {
		t.Skip("for the child processes of TestInitialiseAdvice")
	}
	_, err := pkcs11.Open(t.Context(), pkcs11.Config{Module: module, Label: "token", PIN: pkcs11.PIN{Ask: ask("1234")}})
	failure, _ := errors.AsType[*driver.Error](err)
	fmt.Printf("%v\n%v\n", failure.Class, err)
}

// TestInitialiseAdvice initialises real modules without their configuration. The class is
// right although modules return misleading codes, and the text says what to set.
func TestInitialiseAdvice(t *testing.T) {
	for name, c := range map[string]struct {
		token       testtoken.PKCS11
		environment string
		class       driver.Class
		says        string
	}{
		"SoftHSM, with a configuration that cannot be read": {testtoken.NewSoftHSM(t), "SOFTHSM2_CONF=/nonexistent", driver.Unavailable, "SOFTHSM2_CONF"},
		"NSS without arguments":                             {testtoken.NewNSS(t), "A=B", driver.Invalid, "configdir="},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestInitialiseChild$")
		cmd.Env = append(testtoken.Child(), initialiseChild+"="+c.token.Module, c.environment)
		out, err := cmd.Output()
		class, text, _ := strings.Cut(string(out), "\n")
		if err != nil || class != c.class.String() || !strings.Contains(text, c.says) {
			t.Errorf("Open of %s: %v, %s, want %v with %q", name, err, out, c.class, c.says)
		}
	}
}
