package tpm_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
)

// TestConformance runs the conformance suite over software TPMs, one for each driver that
// the suite opens. A restart is a new driver on the same TPM.
func TestConformance(t *testing.T) {
	t.Parallel()
	chips := make(map[driver.Driver]*testtoken.SWTPM)
	open := func(t *testing.T, s *testtoken.SWTPM) driver.Driver {
		d := openConfig(t, tpm.Config{Device: "unix:" + s.Socket(), Counter: 0x01500001})
		chips[d] = s
		return d
	}
	drivertest.Harness{
		Open:   func(st *testing.T) driver.Driver { return open(st, newTPM(t)) },
		Reopen: func(st *testing.T, d driver.Driver) driver.Driver { return open(st, chips[d]) },
	}.Run(t)
}

// openConfig opens a driver that is closed at the end of the test, if not before.
func openConfig(t testing.TB, cfg tpm.Config) *tpm.Driver {
	t.Helper()
	d, err := tpm.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return d
}
