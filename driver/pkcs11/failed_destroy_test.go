//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/testtoken"
)

// TestUndestroyedKeyIsNotGone: the token fails to destroy a key and does not show it
// until the module is initialised again, like SoftHSM on a read-only file system. The key
// is not reported as destroyed while it exists.
func TestUndestroyedKeyIsNotGone(t *testing.T) {
	const functionFailed = 0x06
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.ForgetsUndestroyed)
	d := openedBasic(t, faulty.PKCS11)
	v, witness := newTestKey(t, d), newTestKey(t, d)
	faulty.Fail(testtoken.CDestroyObject, functionFailed, 1<<30, false)
	for range 3 {
		if err := d.DestroyKey(t.Context(), v.id, nil); err == nil {
			t.Error("DestroyKey returned nil for a key that it could not destroy")
		}
	}
	faulty.Fail(testtoken.CDestroyObject, functionFailed, 0, false)
	if err := newRawSession(t, faulty.PKCS11).Finalize(); err != nil {
		t.Fatal(err)
	}
	v.mustWork(t, "after a start the key")
	faulty.Fail(testtoken.CDestroyObject, functionFailed, 1, false)
	if err := d.DestroyKey(t.Context(), v.id, nil); err != nil {
		t.Errorf("DestroyKey after the module was finalised: %v", err)
	}
	if err := v.use(t); !is(err, driver.NotFound) {
		t.Errorf("use of the destroyed key: %v, want NotFound", err)
	}
	witness.mustWork(t, "the other key")
}

// TestUndestroyedKeyOfAnAdoptedModule: a module that another library initialised is not
// initialised again, so the driver cannot check, and DestroyKey returns Unknown.
func TestUndestroyedKeyOfAnAdoptedModule(t *testing.T) {
	const functionFailed = 0x06
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.ForgetsUndestroyed)
	other := newRawSession(t, faulty.PKCS11)
	if err := other.Initialize(); err != nil {
		t.Fatal(err)
	}
	d := openedBasic(t, faulty.PKCS11)
	v := newTestKey(t, d)
	faulty.Fail(testtoken.CDestroyObject, functionFailed, 1, false)
	for range 2 {
		if err := d.DestroyKey(t.Context(), v.id, nil); !is(err, driver.Unknown) {
			t.Errorf("DestroyKey with a module of another library: %v, want Unknown", err)
		}
	}
	if err := other.Finalize(); err != nil {
		t.Fatal(err)
	}
	v.mustWork(t, "after a start the key")
	if err := d.DestroyKey(t.Context(), v.id, nil); err != nil {
		t.Error(err)
	}
}
