package vault

import (
	"bytes"
	"context"
	"crypto/fips140"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/suite"
)

// dice is a device whose random generator is a given function.
type dice struct {
	*drivertest.Memory
	random func(p []byte) error
}

func (d dice) Random(_ context.Context, p []byte) error { return d.random(p) }

// always returns a generator that yields one byte only, and signals each call on asked.
func always(b byte, asked chan<- struct{}) func([]byte) error {
	return func(p []byte) error {
		copy(p, bytes.Repeat([]byte{b}, len(p)))
		select {
		case asked <- struct{}{}:
		default:
		}
		return nil
	}
}

// unstirred returns the initial key of the hedge, as derived from the store's secret.
func unstirred(v *Vault) []byte {
	key := make([]byte, secretSize)
	v.store.Secret("hedge", key)
	return key
}

// hedgeKey returns the present key of the hedge.
func hedgeKey(v *Vault) []byte {
	v.hedge.mu.RLock()
	defer v.hedge.mu.RUnlock()
	return slices.Clone(v.hedge.key)
}

// TestStirChangesOutput: with all other inputs equal, different device bytes give different
// output, and equal bytes equal output.
func TestStirChangesOutput(t *testing.T) {
	out := func(id suite.ID, stirred ...byte) (made [16]byte) {
		h := &hedge{suite: id, key: make([]byte, secretSize), clock: clock.NewFake(time.Unix(0, 0))}
		for _, b := range stirred {
			h.stir(bytes.Repeat([]byte{b}, stirSize))
		}
		h.mix(made[:], &hedgeInput{}, nil) // as if the operating system's random bytes were zero
		return made
	}
	for _, id := range []suite.ID{suite.AES, suite.SM} {
		if id == suite.SM && fips140.Enforced() {
			continue // Go refuses HMAC-SM3 in this mode
		}
		seen := map[[16]byte]bool{}
		for _, stirred := range [][]byte{nil, {0}, {1}, {1, 1}, {1, 2}, {2, 1}} {
			one := out(id, stirred...)
			if seen[one] {
				t.Errorf("%v after %v: what another device made", id, stirred)
			}
			if seen[one] = true; out(id, stirred...) != one {
				t.Errorf("%v after %v: not the same again", id, stirred)
			}
		}
	}
}

// TestDevicesStir: a device's random bytes are in the hedge when Open returns, and again
// later. A device that reports no generator is not asked.
func TestDevicesStir(t *testing.T) {
	asked := make(chan struct{})
	cfg := deviceConfig(dice{drivertest.NewMemory(), always(9, asked)})
	cfg.stirEvery = time.Millisecond
	newTestVault(t, cfg)
	for range 3 {
		select {
		case <-asked:
		case <-time.After(10 * time.Second):
			t.Fatal("the device is not asked again")
		}
	}
	cfg.stirEvery = time.Hour
	cfg.Drivers["hsm"] = dice{drivertest.NewMemory(), always(9, nil)}
	v, _ := newTestVault(t, cfg)
	h := &hedge{suite: v.suite, key: unstirred(v)}
	h.stir(bytes.Repeat([]byte{9}, stirSize))
	if !bytes.Equal(hedgeKey(v), h.key) {
		t.Error("the bytes of the device are not in the hedge")
	}
	cfg.Drivers["hsm"] = mute{dice{drivertest.NewMemory(), func([]byte) error { t.Error("asked"); return nil }}}
	v, _ = newTestVault(t, cfg)
	if !bytes.Equal(hedgeKey(v), unstirred(v)) {
		t.Error("the hedge was changed without a device")
	}
}

// mute is a device whose driver implements Random, but reports that the device has no
// generator.
type mute struct{ dice }

func (m mute) Info() driver.Info {
	info := m.Memory.Info()
	info.Random = false
	return info
}

// TestDeviceDoesNotStir: a device that fails to return random bytes, or hangs whatever its
// context, delays nothing, and the bytes of other devices are used.
func TestDeviceDoesNotStir(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	failure := &driver.Error{Op: "Random", Class: driver.Unavailable}
	for name, random := range map[string]func([]byte) error{
		"fails": func(p []byte) error { p[0] = 1; return failure },
		"hangs": func([]byte) error { <-hang; return failure },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := deviceConfig(dice{drivertest.NewMemory(), random})
			v, _ := newTestVault(t, cfg)
			if !bytes.Equal(hedgeKey(v), unstirred(v)) {
				t.Error("the hedge was stirred by a device without an answer")
			}
			c := v.As(DefaultOwner)
			if ct, err := c.Encrypt(t.Context(), mustKey(t, c, KeyOptions{}).ID, nil, nil); err != nil {
				t.Errorf("Encrypt: %d bytes, error %v", len(ct), err)
			}
			closeChecked(t, v) // Close does not wait for a call that hangs
			cfg.Drivers["other"] = dice{drivertest.NewMemory(), always(9, nil)}
			v, _ = newTestVault(t, cfg)
			if bytes.Equal(hedgeKey(v), unstirred(v)) {
				t.Error("the other device was not asked")
			}
		})
	}
}

// TestDrawnTooLate: bytes that arrive after ctx has ended are wiped.
func TestDrawnTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var late []byte
		hang := make(chan struct{})
		device := dice{random: func(p []byte) error {
			<-hang
			late = p
			return always(9, nil)(p)
		}}
		go func() { time.Sleep(time.Second); cancel() }()
		if p := draw(ctx, device); p != nil {
			t.Errorf("draw after ctx ended: %d bytes, want nil", len(p))
		}
		close(hang)
		synctest.Wait()
		if !bytes.Equal(late, make([]byte, stirSize)) {
			t.Error("left in memory")
		}
	})
}
