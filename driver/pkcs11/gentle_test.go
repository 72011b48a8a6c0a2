//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testtoken"
)

// TestBusyTokenIsNoWrongCiphertext: if the token runs out of memory while an unwrapped
// key is checked, the ciphertext is not reported as wrong.
func TestBusyTokenIsNoWrongCiphertext(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	d := opened(t, faulty.PKCS11)
	with, public := wrappingPair(t, d)
	for spec, in := range map[driver.KeySpec][]byte{
		{Algorithm: driver.ECP256, Usage: driver.Sign}: sample(t, driver.ECP256), derive: randomBytes(32),
	} {
		for _, code := range []uint32{2, 0x31, 0xE2} { // HOST_MEMORY, DEVICE_MEMORY, TOKEN_WRITE_PROTECTED
			faulty.Fail(testtoken.CSign, code, 1, false)
			w := driver.Wrapped{With: with, Alg: driver.WrapRSAAESKWP, Ciphertext: wrapBy(t, driver.WrapRSAAESKWP, public, in)}
			if _, err := d.(driver.WrappedImporter).ImportWrapped(t.Context(), freshID(), spec, w); is(err, driver.Authentic) {
				t.Errorf("ImportWrapped of %v with code %#x: %v, want another class than Authentic", spec, code, err)
			}
			faulty.Fail(testtoken.CSign, 0, 0, false)
		}
	}
}

// TestDestroyedAtTheSecondTry: a session that ended has not destroyed the key; the second
// attempt destroys it, without initialising the module again.
func TestDestroyedAtTheSecondTry(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	d := opened(t, faulty.PKCS11)
	for _, code := range []uint32{0xB3, 0x101} { // SESSION_HANDLE_INVALID, USER_NOT_LOGGED_IN
		v := newVictim(t, d)
		before := faulty.Calls(testtoken.CFinalize)
		faulty.Fail(testtoken.CDestroyObject, code, 1, false)
		if err := d.DestroyKey(t.Context(), v.id, nil); err != nil {
			t.Errorf("DestroyKey after code %#x: %v", code, err)
		}
		if n := faulty.Calls(testtoken.CFinalize) - before; n != 0 {
			t.Errorf("code %#x: the module was finalised %d times, want 0", code, n)
		}
	}
}
