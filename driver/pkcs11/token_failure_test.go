//go:build cgo && unix

package pkcs11_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/testtoken"
)

// codes are return values of a token (PKCS #11 v2.40, appendix; names without CKR_).
var codes = map[string]uint32{
	"HOST_MEMORY": 0x02, "SLOT_ID_INVALID": 0x03, "GENERAL_ERROR": 0x05, "FUNCTION_FAILED": 0x06, "ARGUMENTS_BAD": 0x07,
	"DATA_INVALID": 0x20, "DATA_LEN_RANGE": 0x21, "DEVICE_ERROR": 0x30, "DEVICE_MEMORY": 0x31, "DEVICE_REMOVED": 0x32,
	"ENCRYPTED_DATA_INVALID": 0x40, "FUNCTION_CANCELED": 0x50, "FUNCTION_NOT_SUPPORTED": 0x54, "KEY_HANDLE_INVALID": 0x60,
	"KEY_FUNCTION_NOT_PERMITTED": 0x68, "MECHANISM_INVALID": 0x70, "OBJECT_HANDLE_INVALID": 0x82, "OPERATION_ACTIVE": 0x90,
	"OPERATION_NOT_INITIALIZED": 0x91, "SESSION_CLOSED": 0xB0, "SESSION_COUNT": 0xB1, "SESSION_HANDLE_INVALID": 0xB3,
	"TOKEN_NOT_PRESENT": 0xE0, "USER_NOT_LOGGED_IN": 0x101, "BUFFER_TOO_SMALL": 0x150, "CRYPTOKI_NOT_INITIALIZED": 0x190,
	"VENDOR": 0x80000042,
}

// passing are temporary errors: one failure with such a code is repaired without an error
// for the caller.
var passing = []string{
	"SLOT_ID_INVALID", "GENERAL_ERROR", "FUNCTION_FAILED", "DEVICE_ERROR", "DEVICE_REMOVED", "FUNCTION_CANCELED",
	"KEY_HANDLE_INVALID", "OBJECT_HANDLE_INVALID", "OPERATION_ACTIVE", "OPERATION_NOT_INITIALIZED", "SESSION_CLOSED",
	"SESSION_HANDLE_INVALID", "TOKEN_NOT_PRESENT", "USER_NOT_LOGGED_IN", "BUFFER_TOO_SMALL", "CRYPTOKI_NOT_INITIALIZED", "VENDOR",
}

// TestRetryAfterOneFailure makes one call fail with each code. After a temporary error the
// caller gets the right result; otherwise it gets one error, and the right result the
// next time.
func TestRetryAfterOneFailure(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	v := newTestKey(t, openedBasic(t, faulty.PKCS11))
	heals := make(map[uint32]bool)
	for _, name := range passing {
		heals[codes[name]] = true
	}
	for name, code := range codes {
		for _, call := range []testtoken.PKCS11Call{testtoken.CSignInit, testtoken.CSign} {
			faulty.Fail(call, code, 1, false)
			err := v.use(t)
			if heals[code] != (err == nil) {
				t.Errorf("one %s from function %d: %v, want nil after a temporary error only", name, call, err)
			}
			classified(t, name, err)
			v.mustWork(t, "after "+name)
		}
	}
}

// TestLastingFailure makes every use of a key fail for some time. Whatever the code,
// calls return an error with a class in time, and work again when the token does.
func TestLastingFailure(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	v := newTestKey(t, openedBasic(t, faulty.PKCS11))
	for name, code := range codes {
		faulty.Fail(testtoken.CSignInit, code, 1<<30, false)
		for range 3 {
			err := v.use(t)
			if err == nil || is(err, driver.NotFound) {
				t.Errorf("%s from every call: %v, want an error other than NotFound", name, err)
			}
			classified(t, name, err)
		}
		faulty.Fail(testtoken.CSignInit, 0, 0, false)
		recoversSoon(t, v)
	}
}

// classified checks that an error is a driver.Error with a code of the device, or with
// none.
func classified(t *testing.T, what string, err error) {
	t.Helper()
	var e *driver.Error
	if err != nil && (!errors.As(err, &e) || e.Op == "") {
		t.Errorf("%s: error %T (%v), want a *driver.Error", what, err, err)
	}
}

// TestCreationFailsAfterwards: the token makes the key, but its reply is lost. Calling
// again gives one usable key.
func TestCreationFailsAfterwards(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	d := openedBasic(t, faulty.PKCS11)
	sign := driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign}
	for name, code := range map[string]uint32{"DEVICE_ERROR": 0x30, "DEVICE_REMOVED": 0x32, "FUNCTION_FAILED": 0x06, "GENERAL_ERROR": 0x05, "SESSION_CLOSED": 0xB0} {
		for spec, call := range map[driver.KeySpec]testtoken.PKCS11Call{derive: testtoken.CGenerateKey, sign: testtoken.CGenerateKeyPair} {
			id := freshID()
			faulty.Fail(call, code, 1, true)
			first, err := d.GenerateKey(t.Context(), id, spec)
			if err != nil {
				first, err = d.GenerateKey(t.Context(), id, spec)
			}
			if err != nil {
				t.Errorf("GenerateKey of %v after %s: %v", spec, name, err)
				continue
			}
			second, err := d.GenerateKey(t.Context(), id, spec)
			if err != nil || !bytes.Equal(first.PublicDER, second.PublicDER) {
				t.Errorf("GenerateKey of %v after %s: another key than the first, or %v", spec, name, err)
			}
			if n := count(t, d, id); n != 1 {
				t.Errorf("%v after %s: %d keys, want 1", spec, name, n)
			}
		}
	}
}

func count(t *testing.T, d driver.Driver, id driver.MaterialID) (n int) {
	t.Helper()
	for got, err := range d.(driver.Lister).ListKeys(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		if got == id {
			n++
		}
	}
	return n
}

// TestSessionsWorkConcurrently holds every call in the module: all sessions of the pool are
// inside it at the same time, so that a slow token keeps its throughput.
func TestSessionsWorkConcurrently(t *testing.T) {
	const sessions = 8
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	c := basicConfig(faulty.PKCS11)
	c.MaxSessions = sessions
	v := newTestKey(t, openedWith(t, c))
	faulty.Hang(testtoken.CSign)
	defer faulty.Release()
	errs := make(chan error, sessions)
	for range sessions {
		go func() {
			out, err := v.key.PRF(context.Background(), nil, []byte("input"))
			if err == nil && !bytes.Equal(out, v.want) {
				err = errors.New("another result")
			}
			errs <- err
		}()
	}
	faulty.AwaitHanging(t, sessions)
	faulty.Release()
	for range sessions {
		if err := <-errs; err != nil {
			t.Errorf("PRF of a call that was held in the module: %v", err)
		}
	}
}
