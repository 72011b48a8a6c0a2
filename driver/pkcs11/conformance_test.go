//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/testtoken"
)

// TestConformance holds the driver to the contract on each token.
func TestConformance(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		drivertest.Harness{
			Open:   func(t *testing.T) driver.Driver { return open(t, token) },
			Reopen: func(t *testing.T, _ driver.Driver) driver.Driver { return open(t, token) },
		}.Run(t)
	})
}
