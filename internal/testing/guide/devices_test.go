//go:build cgo && unix

//go:debug fips140=on

package guide

import (
	"os"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/driver/soft"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
	"strongroom.example/vault"
)

func TestMain(m *testing.M) { os.Exit(testtoken.Main(m)) }

// A column is a kind of device with an edition. The FIPS edition needs Go's FIPS module,
// which the go:debug line above selects.
type column struct {
	name    string
	edition vault.Edition
	// open returns a fresh device that only this test uses, and its protector; nil for the
	// software engine.
	open func(t *testing.T) (driver.Driver, driver.Protector)
}

var columns = []column{
	{"soft", vault.Standard, nil},
	{"SoftHSM", vault.Standard, func(t *testing.T) (driver.Driver, driver.Protector) { return openToken(t, testtoken.NewSoftHSM(t)) }},
	{"NSS", vault.Standard, func(t *testing.T) (driver.Driver, driver.Protector) { return openToken(t, testtoken.NewNSS(t)) }},
	{"swtpm", vault.Standard, openTPM},
	{"soft, FIPS", vault.FIPS, nil},
	{"soft, SM", vault.SM, nil},
}

func openToken(t *testing.T, token testtoken.PKCS11) (driver.Driver, driver.Protector) {
	t.Helper()
	d, err := pkcs11.Open(t.Context(), pkcs11.Config{
		Module: token.Module, Args: token.Args, Label: token.Label, PIN: pkcs11.PIN{File: token.PINFile},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d, d.Protector()
}

func openTPM(t *testing.T) (driver.Driver, driver.Protector) {
	t.Helper()
	d, err := tpm.Open(t.Context(), tpm.Config{Device: "unix:" + testtoken.NewSWTPM(t).Socket()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Protector(tpm.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	return d, p
}

// passphrase returns a protector that costs little.
func passphrase() driver.Protector {
	return soft.PassphraseParams{Memory: 64, Time: 1, Iterations: 1}.Passphrase([]byte("a passphrase of the test"))
}

// config returns the Config of a vault with the device, the device with its faults, and the
// protectors: that of the device, if there is one, and a passphrase.
func (c column) config(t *testing.T) (cfg vault.Config, device *drivertest.Faulty, protectors []driver.Protector) {
	t.Helper()
	cfg.Edition = c.edition
	if c.open == nil {
		return cfg, nil, []driver.Protector{passphrase()}
	}
	d, p := c.open(t)
	device = drivertest.NewFaulty(d)
	t.Cleanup(func() { device.Close() }) // after the vault, which closes first
	cfg.Drivers, cfg.Driver = map[string]driver.Driver{"device": device}, "device"
	return cfg, device, []driver.Protector{p, passphrase()}
}
