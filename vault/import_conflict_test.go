package vault

import (
	"errors"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/testing/poll"
)

// TestReimportConflict: a Decrypt waits for a busy device while the material is deleted
// and imported again. It then finds the new material, or reports that the material is
// missing; it does not report a valid ciphertext as invalid.
func TestReimportConflict(t *testing.T) {
	t.Parallel()
	v, device, _, _ := newMoveVault(t)
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Origin: OriginExternal, Driver: "hsm"})
	mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(7)).material())
	ct, err := c.Encrypt(ctx, k.ID, []byte("4711"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		device.Add(drivertest.Fault{Method: drivertest.MethodPRF, Nth: n + 1, Fail: true, Class: driver.Throttled})
	}
	before := device.Calls(drivertest.MethodPRF)
	done := make(chan error, 1)
	go func() {
		_, err := c.Decrypt(ctx, ct, nil)
		done <- err
	}()
	poll.Until(t, "the device is asked five times", func() bool { return device.Calls(drivertest.MethodPRF) >= before+5 })
	device.Clear()
	if err := c.DeleteImportedKeyMaterial(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(7)).material())
	if err := <-done; err != nil && !errors.Is(err, ErrKeyState) {
		t.Error(err)
	}
}
