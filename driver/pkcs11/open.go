//go:build cgo && unix

package pkcs11

import (
	"context"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/driver/pkcs11/internal/object"
	"strongroom.example/driver/pkcs11/internal/pin"
	"strongroom.example/driver/pkcs11/internal/selftest"
	"strongroom.example/driver/pkcs11/internal/session"
)

// Open opens the token that c names: it loads the module, logs in, and runs the
// self-test. The self-test of a token that is new to the process takes a second with
// SoftHSM, and longer with a slow device. The first Open leaves a small key in the token,
// the sentinel, which distinguishes a broken token from a missing key.
//
// The context applies to Open only. A deadline also
// ends the wait for a call that hangs in the module, in Open and in all methods; the call
// continues, and its result is wiped or closed. Cancelling a context without a deadline
// does not end that wait.
func Open(ctx context.Context, c Config) (*Driver, error) {
	if !hasDeadline(ctx) {
		return openDriver(ctx, c)
	}
	return bounded(ctx, func() (*Driver, error) { return openDriver(ctx, c) }, func(d *Driver) { d.Close() })
}

func openDriver(ctx context.Context, c Config) (*Driver, error) {
	d, err := open(ctx, c)
	if err != nil {
		return nil, cryptoki.DriverError(err)
	}
	if err := d.prepare(ctx); err != nil {
		d.client.Close()
		return nil, cryptoki.DriverError(err)
	}
	return d, nil
}

// open loads the module and joins the token.
func open(ctx context.Context, c Config) (*Driver, error) {
	if err := c.check(); err != nil {
		return nil, cryptoki.Fault("Open", driver.Invalid, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	source, err := pin.Source(c.PIN).Absolute()
	if err != nil {
		return nil, cryptoki.Fault("PIN", driver.Unavailable, err)
	}
	c.PIN = PIN(source)
	cl, err := session.Open(ctx, session.Options{
		Module: c.Module, Args: c.Args, Serial: c.Serial, Label: c.Label, PIN: pin.Source(c.PIN),
		Profile: c.Profile, MaxSessions: c.MaxSessions, Without: abilityStrings(c.Without),
	})
	if err != nil {
		return nil, err
	}
	return &Driver{client: cl, limit: closeLimit}, nil
}

// prepare runs the self-test and makes sure that the token has a sentinel.
func (d *Driver) prepare(ctx context.Context) error {
	able, err := d.client.SelfTest(ctx)
	if err != nil {
		return err
	}
	d.able = able
	at := d.client.Slot()
	d.info = driver.Info{
		Name:   "pkcs11",
		Level:  d.client.Profile.ProtectionLevel(at, able.Leaks),
		Device: device(at),
		Specs:  able.Specs,
		Lister: true,
		Random: able.Random,
	}
	return d.client.EnsureSentinel(ctx, able.Specs)
}

func device(t object.TokenSlot) driver.Device {
	return driver.Device{
		Manufacturer: cryptoki.TrimPadding(t.Info.ManufacturerID),
		Model:        cryptoki.TrimPadding(t.Info.Model),
		Serial:       cryptoki.TrimPadding(t.Info.SerialNumber),
		Firmware:     cryptoki.FormatVersion(t.Info.FirmwareVersion),
	}
}

// Probe opens the token that c names, runs the self-test regardless of earlier results,
// and closes the token. If the driver can use no key of the token, the error is
// Unsupported, and the report is returned with it.
func Probe(ctx context.Context, c Config) (Report, error) {
	if !hasDeadline(ctx) {
		return probe(ctx, c)
	}
	return bounded(ctx, func() (Report, error) { return probe(ctx, c) }, keep)
}

func probe(ctx context.Context, c Config) (Report, error) {
	d, err := open(ctx, c)
	if err != nil {
		return Report{}, cryptoki.DriverError(err)
	}
	defer d.client.Close()
	able, err := d.client.RunSelfTest(ctx)
	if able == nil {
		return Report{}, err
	}
	at := d.client.Slot()
	p := d.client.Profile
	return Report{device(at), p.Name, p.ProtectionLevel(at, able.Leaks), able.Specs, findings(able), ModuleInfo(d.client.ModuleInfo()), at.Info.Flags&p11.CKF_USER_PIN_COUNT_LOW != 0}, err
}

// findings returns the findings of a self-test.
func findings(able *selftest.Result) (list []Finding) {
	for _, f := range able.Findings {
		list = append(list, Finding(f))
	}
	return list
}

func abilityStrings(list []Ability) (names []string) {
	for _, a := range list {
		names = append(names, string(a))
	}
	return names
}
