//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testtoken"
)

// TestObjectHandleReused: a token assigns the handle of a destroyed key to a new key,
// made by the same driver or by another one of the process. The destroyed key does not
// use the new one, and existing keys keep working.
func TestObjectHandleReused(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.ObjectsReused)
	d := opened(t, faulty.PKCS11)
	for _, by := range []driver.Driver{d, opened(t, faulty.PKCS11)} {
		v, witness := newVictim(t, d), newVictim(t, d)
		if err := by.DestroyKey(t.Context(), v.id, nil); err != nil {
			t.Fatal(err)
		}
		newVictim(t, by).mustWork(t, "the new key")
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
