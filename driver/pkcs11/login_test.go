//go:build cgo && unix

package pkcs11_test

import (
	"os"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/testtoken"
)

// TestMistypedOnAKeypad: after a wrong PIN on a keypad, the next login asks again.
func TestMistypedOnAKeypad(t *testing.T) {
	const pinIncorrect = 0xA0
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.Keypad)
	c := basicConfig(faulty.PKCS11)
	c.PIN = pkcs11.PIN{}
	faulty.Fail(testtoken.CLogin, pinIncorrect, 1, false)
	if _, err := pkcs11.Open(t.Context(), c); !is(err, driver.Denied) {
		t.Errorf("Open with a wrong PIN on the keypad: %v, want Denied", err)
	}
	newTestKey(t, openedWith(t, c)).mustWork(t, "with the right PIN")
}

// TestLoginAfterAProfileWithoutOne: a driver that opens the token with a wrong profile
// without login does not affect drivers that open it later.
func TestLoginAfterAProfileWithoutOne(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	c := basicConfig(token)
	c.Profile = "kmsp11"
	if d, err := pkcs11.Open(t.Context(), c); err == nil {
		d.Close()
	}
	newTestKey(t, openedBasic(t, token)).mustWork(t, "with the right profile")
}

// TestPINOfTheRemainingDriver: a driver that closes takes its PIN source with it. A
// source that can no longer be read does not affect other drivers.
func TestPINOfTheRemainingDriver(t *testing.T) {
	const variable = "STRONGROOM_TEST_PIN"
	token := testtoken.NewSoftHSM(t)
	v, other := newTestKey(t, openedBasic(t, token)), newRawSession(t, token)
	c := basicConfig(token)
	c.PIN = pkcs11.PIN{Env: variable}
	t.Setenv(variable, testtoken.PIN)
	if _, err := pkcs11.Probe(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	openedWith(t, c)
	for range 2 {
		os.Unsetenv(variable)
		if err := other.Finalize(); err != nil {
			t.Fatal(err)
		}
		v.mustWork(t, "without the PIN of the last driver to open")
	}
}

// TestPINOfTheClosedDriver: the PIN source of a driver that was closed is not used, because
// its user may no longer have access.
func TestPINOfTheClosedDriver(t *testing.T) {
	const variable = "STRONGROOM_TEST_PIN"
	token := testtoken.NewSoftHSM(t)
	v, other := newTestKey(t, openedBasic(t, token)), newRawSession(t, token)
	c := basicConfig(token)
	c.PIN = pkcs11.PIN{Env: variable}
	t.Setenv(variable, testtoken.PIN)
	if _, err := pkcs11.Probe(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	os.Setenv(variable, "not the PIN")
	if err := other.Finalize(); err != nil {
		t.Fatal(err)
	}
	v.mustWork(t, "after a driver with another source was opened and closed")
}
