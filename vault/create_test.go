package vault

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/clock"
)

// slow is a device whose derivation is slow.
type slow struct{ *drivertest.Memory }

func (d slow) Info() driver.Info {
	info := d.Memory.Info()
	info.Specs = slices.Clone(info.Specs)
	for i := range info.Specs {
		info.Specs[i].Slow = info.Specs[i].Spec.Usage == driver.Derive
	}
	return info
}

// TestSlowDevice: keys that are used for every message stay in software unless the caller
// names the device.
func TestSlowDevice(t *testing.T) {
	cfg := testConfig()
	cfg.Drivers, cfg.Driver = map[string]driver.Driver{"chip": slow{drivertest.NewMemory()}}, "chip"
	v, _ := newTestVault(t, cfg)
	c := v.As(DefaultOwner)
	for _, row := range []struct {
		o    KeyOptions
		want string
	}{
		{KeyOptions{}, softDriver},
		{KeyOptions{Usage: GenerateVerifyMac}, softDriver},
		{KeyOptions{Driver: "chip"}, "chip"},
		{KeyOptions{Spec: ECCP256}, "chip"},
	} {
		if k := mustKey(t, c, row.o); k.Driver != row.want {
			t.Errorf("CreateKey of %+v: driver %q, want %q", row.o, k.Driver, row.want)
		}
	}
}

// TestCreateGivenUp: a Create whose context ends either returns a vault or leaves none, and
// can be repeated.
func TestCreateGivenUp(t *testing.T) {
	a, cfg := &alarm{Clock: clock.System()}, testConfig()
	cfg.clock = a
	ctx, cancel := context.WithCancel(t.Context())
	a.ring = cancel // when the first record is written
	dir, p := filepath.Join(t.TempDir(), "vault"), passphrase(t, "p")
	v, err := Create(ctx, dir, cfg, p)
	if err != nil {
		t.Log(err)
		a.ring = nil
		v, err = Create(t.Context(), dir, cfg, p)
	}
	if err != nil {
		t.Fatal(err)
	}
	closeChecked(t, v)
}
