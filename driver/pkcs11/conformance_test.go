//go:build cgo && unix

package pkcs11_test

import (
	"os"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/testtoken"
)

// TestConformance holds the driver to the contract on each token. RSA keys above 2048
// bits take minutes; STRONGROOM_CONFORMANCE=all has them too.
func TestConformance(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		drivertest.Harness{
			Open:   func(t *testing.T) driver.Driver { return open(t, token) },
			Reopen: func(t *testing.T, _ driver.Driver) driver.Driver { return open(t, token) },
			LeaveOut: func(spec driver.KeySpec) bool {
				large := spec.Algorithm == driver.RSA3072 || spec.Algorithm == driver.RSA4096
				return large && os.Getenv("STRONGROOM_CONFORMANCE") != "all"
			},
		}.Run(t)
	})
}
