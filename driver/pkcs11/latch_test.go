//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testtoken"
)

// TestMistypedOnAKeypad: after a wrong PIN on a keypad, the next login asks again.
func TestMistypedOnAKeypad(t *testing.T) {
	const pinIncorrect = 0xA0
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.Keypad)
	c := config(faulty.PKCS11)
	c.PIN = pkcs11.PIN{}
	faulty.Fail(testtoken.CLogin, pinIncorrect, 1, false)
	if _, err := pkcs11.Open(t.Context(), c); !is(err, driver.Denied) {
		t.Errorf("Open with a wrong PIN on the keypad: %v, want Denied", err)
	}
	newVictim(t, openedWith(t, c)).mustWork(t, "with the right PIN")
}

// TestLoginAfterAProfileWithoutOne: a driver that opens the token with a wrong profile
// without login does not affect drivers that open it later.
func TestLoginAfterAProfileWithoutOne(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	c := config(token)
	c.Profile = "kmsp11"
	if d, err := pkcs11.Open(t.Context(), c); err == nil {
		d.Close()
	}
	newVictim(t, opened(t, token)).mustWork(t, "with the right profile")
}
