//go:build cgo && unix

package pkcs11_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testtoken"
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

// TestInitialiseClasses has the codes that C_Initialize of each module returns, as
// measured.
func TestInitialiseClasses(t *testing.T) {
	for _, c := range []struct {
		path, args string
		code       uint
		class      driver.Class
		says       string
	}{
		{"/usr/lib/opencryptoki/libopencryptoki.so.0", "", p11.CKR_HOST_MEMORY, driver.Unavailable, "pkcsslotd"},
		{"/usr/lib/opencryptoki/libopencryptoki.so.0", "", p11.CKR_FUNCTION_FAILED, driver.Unavailable, "pkcsslotd"},
		{"/usr/lib/softhsm/libsofthsm2.so", "", p11.CKR_GENERAL_ERROR, driver.Unavailable, "SOFTHSM2_CONF"},
		{"/usr/lib/pkcs11/libtpm2_pkcs11.so", "", p11.CKR_GENERAL_ERROR, driver.Unavailable, "TPM2_PKCS11_TCTI"},
		{"/usr/lib/libsoftokn3.so", "", p11.CKR_ARGUMENTS_BAD, driver.Invalid, "Config.Args"},
		{"/opt/other.so", "", p11.CKR_ARGUMENTS_BAD, driver.Invalid, "set Config.Args"},
		{"/opt/other.so", "a=b", p11.CKR_ARGUMENTS_BAD, driver.Invalid, "does not take Config.Args"},
		{"/opt/other.so", "", p11.CKR_CANT_LOCK, driver.Unsupported, "threads"},
		{"/opt/other.so", "", p11.CKR_DEVICE_ERROR, driver.Unavailable, "documentation"},
	} {
		err := pkcs11.Refused(c.path, c.args, c.code)
		if failure, ok := errors.AsType[*driver.Error](err); !ok || failure.Class != c.class || failure.Code != uint64(c.code) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("C_Initialize of %s with %q returned %#x: %v, want %v with %q", c.path, c.args, c.code, err, c.class, c.says)
		}
	}
}

// TestOtherRoles replaces a signing key by a key under the same id with more roles. The
// key is not used, and the error is not NotFound.
func TestOtherRoles(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	d := opened(t, token)
	id := freshID()
	if _, err := d.GenerateKey(t.Context(), id, derive); err != nil {
		t.Fatal(err)
	}
	a := newAttacker(t, token)
	for _, o := range a.everything(id) {
		if err := a.DestroyObject(a.session, o); err != nil {
			t.Fatal(err)
		}
	}
	_, err := a.CreateObject(a.session, []*p11.Attribute{
		attribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), attribute(p11.CKA_KEY_TYPE, p11.CKK_GENERIC_SECRET), attribute(p11.CKA_VALUE, make([]byte, 32)),
		attribute(p11.CKA_TOKEN, true), attribute(p11.CKA_PRIVATE, true), attribute(p11.CKA_SENSITIVE, true), attribute(p11.CKA_EXTRACTABLE, false),
		attribute(p11.CKA_ID, id[:]), attribute(p11.CKA_SIGN, true), attribute(p11.CKA_WRAP, true),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.OpenKey(t.Context(), id, derive, nil); !is(err, driver.Authentic) || !strings.Contains(err.Error(), "roles") {
		t.Errorf("OpenKey of a key with other roles: %v, want Authentic, naming the roles", err)
	}
	if _, err := d.GenerateKey(t.Context(), id, derive); !is(err, driver.Invalid) {
		t.Errorf("GenerateKey under the id of a key with other roles: %v, want Invalid", err)
	}
}
