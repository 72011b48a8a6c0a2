package drivertest_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
)

func reopenMemory(_ *testing.T, d driver.Driver) driver.Driver {
	return d.(*drivertest.Memory).Reopen()
}

func TestMemory(t *testing.T) {
	drivertest.Harness{
		Open:   func(*testing.T) driver.Driver { return drivertest.NewMemory() },
		Reopen: reopenMemory,
	}.Run(t)
}
