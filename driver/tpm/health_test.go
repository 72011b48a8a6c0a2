package tpm_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
)

// TestLockout locks a TPM by wrong authorizations of another program's object. The
// driver's keys must stay usable, Health must report the lockout, and ResetLockout must
// end it.
func TestLockout(t *testing.T) {
	s := testtoken.NewSWTPM(t) // not newTPM, because here failures count
	d := openAt(t, s, "")
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	if h := health(t, d); h.Lockout || h.Failures != 0 || h.MaxFailures == 0 || h.Interval == 0 {
		t.Errorf("Health of a fresh TPM: %+v", h)
	}
	if err := d.Do(failUntilLocked); err != nil {
		t.Fatal(err)
	}
	if h := health(t, d); !h.Lockout || h.Failures < h.MaxFailures {
		t.Errorf("Health of a TPM in lockout: %+v", h)
	}
	prf(t, k)
	root, blob := seal(t, protector(t, d, tpm.Policy{}))
	opens(t, protector(t, d, tpm.Policy{}), root, blob, "in a lockout")
	if err := d.ResetLockout(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if h := health(t, d); h.Lockout || h.Failures != 0 {
		t.Errorf("Health after ResetLockout: %+v", h)
	}
	if err := d.ResetLockout(context.Background(), []byte("wrong")); !errors.Is(err, driver.Denied) {
		t.Errorf("ResetLockout with a wrong authorization: %v", err)
	}
	oneLine(t, d.ResetLockout(context.Background(), nil), driver.Denied, "locked out")
}

func health(t *testing.T, d *tpm.Driver) tpm.Health {
	t.Helper()
	h, err := d.Health(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// failUntilLocked creates an object that is subject to the protection against dictionary
// attacks, and uses wrong authorizations until the TPM locks.
func failUntilLocked(c transport.TPM) error {
	area := tpm2.ECCSRKTemplate
	area.ObjectAttributes.NoDA = false
	made, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
		InSensitive:   tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{UserAuth: tpm2.TPM2BAuth{Buffer: []byte("right")}}},
		InPublic:      tpm2.New2B(area),
	}.Execute(c)
	if err != nil {
		return err
	}
	defer tpm2.FlushContext{FlushHandle: made.ObjectHandle}.Execute(c)
	for range 100 {
		_, err = tpm2.Create{
			ParentHandle: tpm2.AuthHandle{Handle: made.ObjectHandle, Name: made.Name, Auth: tpm2.PasswordAuth([]byte("wrong"))},
			InPublic:     tpm2.New2B(tpm2.ECCSRKTemplate),
		}.Execute(c)
		if errors.Is(err, tpm2.TPMRCLockout) {
			return nil
		}
	}
	return err
}
