//go:build cgo && unix

package pkcs11_test

import (
	"os"
	"testing"

	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testtoken"
)

// TestPINOfWhoeverStays: a driver that closes takes its PIN source with it. A source that
// can no longer be read does not affect other drivers.
func TestPINOfWhoeverStays(t *testing.T) {
	const variable = "STRONGROOM_TEST_PIN"
	token := testtoken.NewSoftHSM(t)
	v, other := newVictim(t, opened(t, token)), newIntruder(t, token)
	c := config(token)
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

// TestPINOfWhoeverLeft: the PIN source of a driver that was closed is not used, because
// its user may no longer have access.
func TestPINOfWhoeverLeft(t *testing.T) {
	const variable = "STRONGROOM_TEST_PIN"
	token := testtoken.NewSoftHSM(t)
	v, other := newVictim(t, opened(t, token)), newIntruder(t, token)
	c := config(token)
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
