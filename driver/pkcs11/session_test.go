//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testtoken"
)

// TestSessionHandleReused: somebody closes all sessions, and the token gives new ones the
// handles of those. The driver closes none of the new ones by an old handle: one login
// is enough each time, and the module is not initialised again.
func TestSessionHandleReused(t *testing.T) {
	const rounds = 10
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.SessionsReused)
	v, other := newVictim(t, opened(t, faulty.PKCS11)), newIntruder(t, faulty.PKCS11)
	starts, logins := faulty.Calls(testtoken.CFinalize), faulty.Calls(testtoken.CLogin)
	for range rounds {
		if err := other.CloseAllSessions(other.slot(t)); err != nil {
			t.Fatal(err)
		}
		v.mustWork(t, "after all sessions were closed")
	}
	if n := faulty.Calls(testtoken.CLogin) - logins; n != rounds || faulty.Calls(testtoken.CFinalize) != starts {
		t.Errorf("%d logins and %d initialisations in %d rounds", n, faulty.Calls(testtoken.CFinalize)-starts, rounds)
	}
}

// TestOneSession: with one session there is nothing but the login. With two the driver
// works, since the self-test makes do.
func TestOneSession(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.TellsLimit)
	faulty.Sessions(1)
	if _, err := pkcs11.Open(t.Context(), config(faulty.PKCS11)); !is(err, driver.Unsupported) {
		t.Errorf("one session: %v", err)
	}
	faulty.Sessions(2)
	newVictim(t, opened(t, faulty.PKCS11)).mustWork(t, "with two sessions")
}
