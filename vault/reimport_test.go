package vault

import (
	"errors"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
)

// TestReimportMeanwhile: a Decrypt waits for a busy device while the material is deleted
// and imported again. It then finds the new material, or reports that the material is
// missing; it does not report a valid ciphertext as invalid.
func TestReimportMeanwhile(t *testing.T) {
	v, device, _, _ := newMoveVault(t)
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Origin: OriginExternal, Driver: "hsm"})
	mustImport(t, c, k.ID, newParcel(t, c, k, ownKey(7)).material())
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
	for device.Calls(drivertest.MethodPRF) < before+5 {
		time.Sleep(time.Millisecond)
	}
	device.Clear()
	if err := c.DeleteImportedKeyMaterial(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	mustImport(t, c, k.ID, newParcel(t, c, k, ownKey(7)).material())
	if err := <-done; err != nil && !errors.Is(err, ErrKeyState) {
		t.Error(err)
	}
}
