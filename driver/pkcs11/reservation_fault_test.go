//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testtoken"
)

// TestDamagedRecord: with a reservation whose number cannot be read, the count of
// sealings is unknown, and the key does not seal any more. Attempts leave no objects in
// the token.
func TestDamagedRecord(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		d, id := opened(t, token), freshID()
		needs(t, d, sealSpec)
		if _, err := d.GenerateKey(t.Context(), id, sealSpec); err != nil {
			t.Fatal(err)
		}
		a := newAttacker(t, token)
		a.recordAs(id, []byte("damaged"))
		for range 3 {
			if err := sealOnce(t, d, id); !is(err, driver.Unknown) {
				t.Error(err)
			}
		}
		if records, _ := a.onRecord(id); records != 1 {
			t.Errorf("%d reservations, want 1", records)
		}
	})
}

// TestSealingsUnrecorded: a key seals in a token that cannot be written to. If reserving
// fails for another reason, it does not seal until the token works again.
func TestSealingsUnrecorded(t *testing.T) {
	const writeProtected, deviceMemory = 0xE2, 0x31
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	d, id := opened(t, faulty.PKCS11), freshID()
	if _, err := d.GenerateKey(t.Context(), id, sealSpec); err != nil {
		t.Fatal(err)
	}
	a := newAttacker(t, faulty.PKCS11)
	faulty.Fail(testtoken.CGenerateKey, deviceMemory, 1, false)
	if err := sealOnce(t, d, id); !is(err, driver.Throttled) {
		t.Errorf("Seal with a full token: %v, want Throttled", err)
	}
	for _, name := range []string{"ARGUMENTS_BAD", "DATA_INVALID"} { // CloudHSM returns these with too many sessions
		faulty.Fail(testtoken.CGenerateKey, codes[name], 1, false)
		if err := sealOnce(t, d, id); !is(err, driver.Invalid) {
			t.Errorf("Seal with %s: %v, want Invalid", name, err)
		}
	}
	faulty.Fail(testtoken.CGenerateKey, writeProtected, 1, false)
	for range 3 {
		if err := sealOnce(t, d, id); err != nil {
			t.Errorf("Seal with a token that cannot be written to: %v", err)
		}
	}
	if records, _ := a.onRecord(id); records != 0 || faulty.Left() != 0 {
		t.Errorf("%d reservations and %d faults left, want 0 and 0", records, faulty.Left())
	}
	if err := sealOnce(t, opened(t, faulty.PKCS11), id); err != nil {
		t.Error(err)
	}
	if records, _ := a.onRecord(id); records != 1 {
		t.Errorf("%d reservations after another start, want 1", records)
	}
}

// TestReservationHeals: the session or the login ends during each call of a reservation
// in turn. The key still seals, and at least one step is recorded.
func TestReservationHeals(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	d := opened(t, faulty.PKCS11)
	a := newAttacker(t, faulty.PKCS11)
	for _, name := range []string{"SESSION_HANDLE_INVALID", "USER_NOT_LOGGED_IN", "DEVICE_ERROR"} {
		for _, call := range []testtoken.PKCS11Call{testtoken.CGenerateKey, testtoken.CFindObjectsInit, testtoken.CFindObjects, testtoken.CGetAttribute} {
			for _, act := range []bool{false, true} {
				id := freshID()
				if _, err := d.GenerateKey(t.Context(), id, sealSpec); err != nil {
					t.Fatal(err)
				}
				k, err := d.OpenKey(t.Context(), id, sealSpec, nil)
				if err != nil {
					t.Fatal(err)
				}
				faulty.Fail(call, codes[name], 1, act)
				if _, err := k.(driver.AEAD).Seal(t.Context(), nil, []byte("text"), nil); err != nil {
					t.Errorf("Seal with %s from function %d, after the call %v: %v", name, call, act, err)
				}
				if _, sealings := a.onRecord(id); sealings < stepOfAStart || faulty.Left() != 0 {
					t.Errorf("%s from function %d: %d sealings recorded, %d faults left, want a step and 0", name, call, sealings, faulty.Left())
				}
			}
		}
	}
}
