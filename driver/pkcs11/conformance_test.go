//go:build cgo && unix

package pkcs11_test

import (
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/heavy"
	"strongroom.example/internal/testing/testtoken"
)

// A hanging is a driver whose module can be made to hang.
type hanging struct {
	*pkcs11.Driver
	module testtoken.FaultyPKCS11
}

var _ drivertest.Hanger = hanging{}

// Hang makes C_Sign hang until release is called.
func (h hanging) Hang() (release func()) {
	h.module.Hang(testtoken.CSign)
	return h.module.Release
}

// TestConformance tests the driver against the contract on each token, with SoftHSM
// behind a module that can hang. RSA keys above 2048 bits take minutes and run only with
// STRONGROOM_CONFORMANCE=all.
func TestConformance(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		opens := func(t *testing.T) driver.Driver { return open(t, token) }
		if strings.Contains(token.Module, "softhsm") {
			faulty := testtoken.NewFaulty(t, token)
			opens = func(t *testing.T) driver.Driver { return hanging{open(t, faulty.PKCS11).(*pkcs11.Driver), faulty} }
		}
		drivertest.Harness{
			Open:   opens,
			Reopen: func(t *testing.T, _ driver.Driver) driver.Driver { return opens(t) },
			LeaveOut: func(spec driver.KeySpec) bool {
				large := spec.Algorithm == driver.RSA3072 || spec.Algorithm == driver.RSA4096
				return large && !heavy.All(t, "STRONGROOM_CONFORMANCE")
			},
		}.Run(t)
	})
}
