package vault

import (
	"slices"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
)

// slow is a device that does derivation slowly.
type slow struct{ *drivertest.Memory }

func (d slow) Info() driver.Info {
	info := d.Memory.Info()
	info.Specs = slices.Clone(info.Specs)
	for i := range info.Specs {
		info.Specs[i].Slow = info.Specs[i].Spec.Usage == driver.Derive
	}
	return info
}

// TestSlowDevice: keys for every message stay in software unless the device is named.
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
			t.Errorf("%+v: on %q, want %q", row.o, k.Driver, row.want)
		}
	}
}
