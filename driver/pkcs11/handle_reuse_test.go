//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/testtoken"
)

// TestObjectHandleReused: a token assigns the handle of a destroyed key to a new key,
// made by the same driver or by another one of the process. The destroyed key does not
// use the new one, and existing keys keep working.
func TestObjectHandleReused(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.ObjectsReused)
	d := openedBasic(t, faulty.PKCS11)
	for _, by := range []driver.Driver{d, openedBasic(t, faulty.PKCS11)} {
		v, witness := newTestKey(t, d), newTestKey(t, d)
		if err := by.DestroyKey(t.Context(), v.id, nil); err != nil {
			t.Fatal(err)
		}
		newTestKey(t, by).mustWork(t, "the new key")
		if err := v.use(t); !is(err, driver.NotFound) {
			t.Errorf("use of a destroyed key: %v, want NotFound", err)
		}
		finds := faulty.Calls(testtoken.CFindObjectsInit)
		witness.mustWork(t, "a key that is there")
		if n := faulty.Calls(testtoken.CFindObjectsInit) - finds; n != 0 {
			t.Errorf("an existing key was searched for %d times, want 0", n)
		}
	}
}

// TestSessionHandleReused: all sessions are closed, and the token assigns their handles
// to new sessions. The driver closes none of the new sessions by an old handle: each time
// it logs in once, and does not initialise the module again.
func TestSessionHandleReused(t *testing.T) {
	const rounds = 10
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.SessionsReused)
	v, other := newTestKey(t, openedBasic(t, faulty.PKCS11)), newRawSession(t, faulty.PKCS11)
	starts, logins := faulty.Calls(testtoken.CFinalize), faulty.Calls(testtoken.CLogin)
	for range rounds {
		if err := other.CloseAllSessions(other.slot(t)); err != nil {
			t.Fatal(err)
		}
		v.mustWork(t, "after all sessions were closed")
	}
	if n := faulty.Calls(testtoken.CLogin) - logins; n != rounds || faulty.Calls(testtoken.CFinalize) != starts {
		t.Errorf("%d logins and %d initialisations in %d rounds, want one login a round and no initialisation", n, faulty.Calls(testtoken.CFinalize)-starts, rounds)
	}
}

// TestOneSession: with one session, Open fails, because the login occupies it. With two
// sessions the driver works.
func TestOneSession(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.TellsLimit)
	faulty.Sessions(1)
	if _, err := pkcs11.Open(t.Context(), basicConfig(faulty.PKCS11)); !is(err, driver.Unsupported) {
		t.Errorf("Open with one session: %v, want Unsupported", err)
	}
	faulty.Sessions(2)
	newTestKey(t, openedBasic(t, faulty.PKCS11)).mustWork(t, "with two sessions")
}
