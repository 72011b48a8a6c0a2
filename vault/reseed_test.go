package vault

import (
	"bytes"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/testing/fakedriver"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/vault/internal/entropy"
	"strongroom.example/vault/internal/vaultsecrets"
)

// fixedRandom returns a device whose random generator is a given function.
func fixedRandom(random func(p []byte) error) *fakedriver.Driver {
	return &fakedriver.Driver{Device: drivertest.NewMemory(), OnRandom: random}
}

// repeating returns a generator that yields one byte only, and signals each call on asked.
func repeating(b byte, asked chan<- struct{}) func([]byte) error {
	return func(p []byte) error {
		copy(p, bytes.Repeat([]byte{b}, len(p)))
		select {
		case asked <- struct{}{}:
		default:
		}
		return nil
	}
}

// initialKey returns the key of the vault's random source as derived from the store's
// secret, reseeded with 32 bytes of each of the given values.
func initialKey(v *Vault, reseeds ...byte) []byte {
	key := make([]byte, vaultsecrets.Size)
	v.store.Secret("hedge", key)
	source := entropy.New(v.suite, key, v.clock)
	for _, b := range reseeds {
		source.Reseed(bytes.Repeat([]byte{b}, 32))
	}
	return key
}

// currentKey returns the present key of the random source. Every device must have been
// asked, and none be asked again.
func currentKey(v *Vault) []byte { return slices.Clone(v.secrets.Entropy()) }

// TestDevicesReseed: a device's random bytes are in the key when Open returns, and again
// later. A device that reports no generator is not asked.
func TestDevicesReseed(t *testing.T) {
	asked := make(chan struct{})
	cfg := deviceConfig(fixedRandom(repeating(9, asked)))
	cfg.reseedEvery = time.Millisecond
	newTestVault(t, cfg)
	for range 3 {
		select {
		case <-asked:
		case <-time.After(poll.Limit):
			t.Fatal("the device is not asked again")
		}
	}
	cfg.reseedEvery, cfg.reseedWithin = time.Hour, time.Hour // Create waits for the device
	cfg.Drivers["hsm"] = fixedRandom(repeating(9, nil))
	v, _ := newTestVault(t, cfg)
	if !bytes.Equal(currentKey(v), initialKey(v, 9)) {
		t.Error("the bytes of the device are not in the key")
	}
	none := fixedRandom(func([]byte) error { t.Error("asked"); return nil })
	none.OnInfo = func(info *driver.Info) { info.Random = false }
	cfg.Drivers["hsm"] = none
	v, _ = newTestVault(t, cfg)
	if !bytes.Equal(currentKey(v), initialKey(v)) {
		t.Error("the key was changed without a device")
	}
}

// TestDeviceWithoutRandomBytes: a device that fails to return random bytes, or hangs
// whatever its context, delays nothing, and the bytes of other devices are used.
func TestDeviceWithoutRandomBytes(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	failure := &driver.Error{Op: "Random", Class: driver.Unavailable}
	for name, random := range map[string]func([]byte) error{
		"fails": func(p []byte) error { p[0] = 1; return failure },
		"hangs": func([]byte) error { <-hang; return failure },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := deviceConfig(fixedRandom(random))
			v, _ := newTestVault(t, cfg)
			if !bytes.Equal(currentKey(v), initialKey(v)) {
				t.Error("a device that returned no bytes changed the key")
			}
			c := v.As(DefaultOwner)
			if ct, err := c.Encrypt(t.Context(), mustKey(t, c, KeyOptions{}).ID, nil, nil); err != nil {
				t.Errorf("Encrypt: %d bytes, error %v", len(ct), err)
			}
			closeChecked(t, v) // Close does not wait for a call that hangs
			var calls atomic.Int32
			cfg.Drivers["other"] = fixedRandom(func([]byte) error { calls.Add(1); return nil })
			newTestVault(t, cfg)
			poll.Until(t, "the other device is asked", func() bool { return calls.Load() > 0 })
			if n := calls.Load(); n != 1 {
				t.Errorf("the other device was asked %d times, want once", n)
			}
		})
	}
}
