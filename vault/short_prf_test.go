package vault

import (
	"context"
	"errors"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/testing/fakedriver"
)

// shortPRF returns a device whose PRF returns the first left bytes of its output.
func shortPRF(left *int) *fakedriver.Driver {
	return &fakedriver.Driver{Device: drivertest.NewMemory(), OnOpenKey: func(key driver.Key) driver.Key {
		inner, ok := key.(driver.PRF)
		if !ok {
			return key
		}
		return fakedriver.PRF{Key: key, OnPRF: func(ctx context.Context, dst, in []byte) ([]byte, error) {
			out, err := inner.PRF(ctx, dst, in)
			if err != nil {
				return nil, err
			}
			return out[:len(dst)+*left], nil
		}}
	}}
}

// TestShortPRF: truncated PRF output is not accepted as a MAC, and an empty MAC is not
// valid.
func TestShortPRF(t *testing.T) {
	left := 32
	v, _ := newTestVault(t, deviceConfig(shortPRF(&left)))
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

// TestEmptyFingerprint: if the PRF of a device returns no bytes for imported material, no
// mark is made, because all material would have the same one.
func TestEmptyFingerprint(t *testing.T) {
	left := 0
	v, _ := newTestVault(t, deviceConfig(shortPRF(&left)))
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Origin: OriginExternal})
	if _, err := c.ImportKeyMaterial(ctx, k.ID, newImportFixture(t, c, k, ownKey(1)).material()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("import into a mute device: %v", err)
	}
	left = 32
	mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material())
}

// TestNilKey: a nil key without an error causes an error at once, and no panic when the
// vault is closed.
func TestNilKey(t *testing.T) {
	gone := false
	v, _ := newTestVault(t, deviceConfig(&fakedriver.Driver{Device: drivertest.NewMemory(), OnOpenKey: func(key driver.Key) driver.Key {
		if gone {
			return nil
		}
		return key
	}}))
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{})
	gone = true
	if _, err := c.Encrypt(t.Context(), k.ID, nil, nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Encrypt with a nil key: %v, want ErrUnavailable", err)
	}
	closeChecked(t, v)
}
