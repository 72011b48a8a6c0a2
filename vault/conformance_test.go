package vault_test

import (
	"crypto/fips140"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/testing/vaultsuite"
	"strongroom.example/vault"
)

// TestSuite runs the conformance tests of package vault with the software engine in each
// edition that this process can use, and with a driver whose keys are objects.
func TestSuite(t *testing.T) {
	t.Run("soft in Standard", func(t *testing.T) { vaultsuite.Run(t, softHarness(vault.Standard)) })
	t.Run("soft in FIPS", func(t *testing.T) {
		if !fips140.Enabled() {
			t.Skip("the process does not use Go's FIPS 140-3 module; run with GODEBUG=fips140=only")
		}
		vaultsuite.Run(t, softHarness(vault.FIPS))
	})
	t.Run("soft in SM", func(t *testing.T) {
		if fips140.Enforced() {
			t.Skip("the process enforces FIPS 140, which refuses the algorithms of the SM edition")
		}
		vaultsuite.Run(t, softHarness(vault.SM))
	})
	t.Run("memory", func(t *testing.T) {
		if fips140.Enforced() {
			t.Skip("the process enforces FIPS 140, and the test double knows algorithms that Go refuses then")
		}
		vaultsuite.Run(t, memoryHarness())
	})
}

func softHarness(e vault.Edition) vaultsuite.Harness {
	return vaultsuite.Harness{Config: func(*testing.T) vault.Config { return vault.Config{Edition: e} }}
}

// memoryHarness uses a driver whose keys are objects in a device that remains when the
// driver is closed.
func memoryHarness(only ...driver.KeySpec) vaultsuite.Harness {
	config := func(d *drivertest.Memory) vault.Config {
		return vault.Config{Drivers: map[string]driver.Driver{"memory": d}, Driver: "memory"}
	}
	fresh := func(*testing.T) vault.Config { return config(drivertest.NewMemory(only...)) }
	return vaultsuite.Harness{
		Config: fresh,
		Other:  fresh,
		Reopen: func(_ *testing.T, cfg vault.Config) vault.Config {
			return config(cfg.Drivers["memory"].(*drivertest.Memory).Reopen())
		},
	}
}
