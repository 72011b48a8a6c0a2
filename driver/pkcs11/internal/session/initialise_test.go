//go:build cgo && unix

package session

import (
	"errors"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

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
		err := initialiseError(c.path, c.args, cryptoki.Check("C_Initialize", c.code))
		if failure, ok := errors.AsType[*driver.Error](err); !ok || failure.Class != c.class || failure.Code != uint64(c.code) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("C_Initialize of %s with %q returned %#x: %v, want %v with %q", c.path, c.args, c.code, err, c.class, c.says)
		}
	}
}
