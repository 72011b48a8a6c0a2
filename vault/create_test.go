package vault

import (
	"context"
	"path/filepath"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/testing/fakedriver"
)

// TestSlowDevice: keys that are used for every message stay in software unless the caller
// names the device.
func TestSlowDevice(t *testing.T) {
	cfg := testConfig()
	chip := &fakedriver.Driver{Device: drivertest.NewMemory(), OnInfo: func(info *driver.Info) {
		for i := range info.Specs {
			info.Specs[i].Slow = info.Specs[i].Spec.Usage == driver.Derive
		}
	}}
	cfg.Drivers, cfg.Driver = map[string]driver.Driver{"chip": chip}, "chip"
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

// TestCreateCancelled: a Create whose context ends either returns a vault or leaves none, and
// can be repeated.
func TestCreateCancelled(t *testing.T) {
	a, cfg := &cancelClock{Clock: clock.System()}, testConfig()
	cfg.Clock = a
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
