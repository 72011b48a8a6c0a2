package tpm_test

import (
	"context"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
)

// evict removes the persistent key at 0x81000001.
func evict(t *testing.T, d *tpm.Driver) {
	t.Helper()
	const at = tpm2.TPMHandle(0x81000001)
	err := d.Do(func(c transport.TPM) error {
		there, err := tpm2.ReadPublic{ObjectHandle: at}.Execute(c)
		if err != nil {
			return err
		}
		_, err = tpm2.EvictControl{
			Auth:             tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
			ObjectHandle:     &tpm2.NamedHandle{Handle: at, Name: there.Name},
			PersistentHandle: at,
		}.Execute(c)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// replace puts another storage key at 0x81000001, as some installers do.
func replace(t *testing.T, d *tpm.Driver) {
	t.Helper()
	if err := d.Do(func(c transport.TPM) error { _, err := persist(c, tpm2.RSASRKTemplate); return err }); err != nil {
		t.Fatal(err)
	}
}

// TestPinnedSRKBesideAnother has the storage root key at a spare handle, because
// 0x81000001 was taken, and another storage key at 0x81000001 afterwards.
func TestPinnedSRKBesideAnother(t *testing.T) {
	s := newTPM(t)
	unfit := tpm2.ECCSRKTemplate
	unfit.ObjectAttributes.NoDA = false
	put(t, s, nil, unfit)
	d := openAt(t, s, "")
	n := generate(t, d, hmacSpec)
	want := prf(t, openAs[driver.PRF](t, d, n))
	evict(t, d)
	replace(t, d)
	d.Drop()
	if string(prf(t, openAs[driver.PRF](t, d, n))) != string(want) {
		t.Error("PRF returned another result than before")
	}
	d.Close()
	d = openAt(t, s, d.Info().Device.Serial)
	if string(prf(t, openAs[driver.PRF](t, d, n))) != string(want) {
		t.Error("PRF after a restart returned another result than before")
	}
}

// TestPinnedSRKRecreated removes the storage root key and puts another at its handle. The
// TPM must derive the same key again, at another handle.
func TestPinnedSRKRecreated(t *testing.T) {
	d := openFresh(t)
	n := generate(t, d, hmacSpec)
	k := openAs[driver.PRF](t, d, n)
	want := prf(t, k)
	evict(t, d)
	replace(t, d)
	d.Drop()
	if string(prf(t, k)) != string(want) {
		t.Error("PRF returned another result than before")
	}
	if there := persistent(t, d); len(there) != 2 {
		t.Errorf("the persistent keys are %X, want the other program's and the driver's", there)
	}
}

// TestClearedGetsNoSRK clears the TPM under an open driver, which must not create a
// storage root key. Only the next Open may do that.
func TestClearedGetsNoSRK(t *testing.T) {
	s := newTPM(t)
	d := openAt(t, s, "")
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	d.Do(func(c transport.TPM) error { clearTPM(t, c); return nil })
	_, err := k.PRF(context.Background(), nil, []byte("question"))
	wrongDevice(t, err, driver.Unavailable, "after the TPM was cleared")
	_, err = k.PRF(context.Background(), nil, []byte("question"))
	wrongDevice(t, err, driver.Unavailable, "and again")
	d.Close()
	c, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if there, err := persistentKeys(c); err != nil || len(there) != 0 {
		t.Errorf("the persistent keys are %X (%v), want none", there, err)
	}
}
