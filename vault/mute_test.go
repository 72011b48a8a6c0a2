package vault

import (
	"context"
	"errors"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
)

// cutting is a device whose PRF returns the first left bytes of its output.
type cutting struct {
	*drivertest.Memory
	left *int
}

type cutKey struct {
	driver.Key
	left *int
}

func (d cutting) OpenKey(ctx context.Context, id driver.MaterialID, s driver.KeySpec, b driver.Blob) (driver.Key, error) {
	key, err := d.Memory.OpenKey(ctx, id, s, b)
	if _, ok := key.(driver.PRF); ok {
		return cutKey{key, d.left}, err
	}
	return key, err
}

func (k cutKey) PRF(ctx context.Context, dst, in []byte) ([]byte, error) {
	out, err := k.Key.(driver.PRF).PRF(ctx, dst, in)
	if err != nil {
		return nil, err
	}
	return out[:len(dst)+*k.left], nil
}

// TestShortPRF: truncated PRF output is not accepted as a MAC, and an empty MAC is not
// valid.
func TestShortPRF(t *testing.T) {
	left := 32
	v, _ := newTestVault(t, deviceConfig(cutting{drivertest.NewMemory(), &left}))
	c, ctx := v.As(DefaultOwner), t.Context()
	mac, enc := mustKey(t, c, KeyOptions{Usage: GenerateVerifyMac}), mustKey(t, c, KeyOptions{})
	for _, left = range []int{0, 8, 31} {
		sum, err := c.GenerateMac(ctx, mac.ID, []byte("x"))
		if !errors.Is(err, ErrUnavailable) || sum != nil {
			t.Errorf("GenerateMac with %d bytes of PRF output: a MAC of %d bytes, error %v", left, len(sum), err)
		}
		if ok, err := c.VerifyMac(ctx, mac.ID, []byte("x"), make([]byte, left)); ok || !errors.Is(err, ErrUnavailable) {
			t.Errorf("VerifyMac with %d bytes of PRF output: %v, error %v", left, ok, err)
		}
		if _, err := c.Encrypt(ctx, enc.ID, nil, nil); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Encrypt with %d bytes of PRF output: %v", left, err)
		}
	}
}

// TestMuteMark: if the PRF of a device returns no bytes for imported material, no mark is
// made, because all material would have the same one.
func TestMuteMark(t *testing.T) {
	left := 0
	v, _ := newTestVault(t, deviceConfig(cutting{drivertest.NewMemory(), &left}))
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Origin: OriginExternal})
	if _, err := c.ImportKeyMaterial(ctx, k.ID, newParcel(t, c, k, ownKey(1)).material()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("import into a mute device: %v", err)
	}
	left = 32
	mustImport(t, c, k.ID, newParcel(t, c, k, ownKey(1)).material())
}

// keyless is a device whose OpenKey returns a nil key without an error once gone is set.
type keyless struct {
	driver.Driver
	gone *bool
}

func (d keyless) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	if *d.gone {
		return nil, nil
	}
	return d.Driver.OpenKey(ctx, id, spec, blob)
}

// TestNoKey: a nil key without an error causes an error at once, and no panic when the
// vault is closed.
func TestNoKey(t *testing.T) {
	gone := false
	v, _ := newTestVault(t, deviceConfig(keyless{drivertest.NewMemory(), &gone}))
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{})
	gone = true
	if _, err := c.Encrypt(t.Context(), k.ID, nil, nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Encrypt with a nil key: %v, want ErrUnavailable", err)
	}
	closeChecked(t, v)
}
