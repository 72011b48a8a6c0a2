//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// Open opens the token that c names: it loads the module, logs in, and runs the
// self-test. The self-test of a token that is new to the process takes a second with
// SoftHSM, and longer with a slow device. The first Open leaves a small key in the token,
// the sentinel, which distinguishes a broken token from a missing key.
//
// The driver's dynamic type is *Driver. The context applies to Open only. A deadline also
// ends the wait for a call that hangs in the module, in Open and in all methods; the call
// continues, and its result is wiped or closed. Cancelling a context without a deadline
// does not end that wait.
func Open(ctx context.Context, c Config) (driver.Driver, error) {
	if !hasDeadline(ctx) {
		return openDriver(ctx, c)
	}
	return bounded(ctx, func() (driver.Driver, error) { return openDriver(ctx, c) }, func(d driver.Driver) { d.Close() })
}

func openDriver(ctx context.Context, c Config) (driver.Driver, error) {
	d, err := open(ctx, c)
	if err != nil {
		return nil, failed(err)
	}
	if err := d.prepare(ctx); err != nil {
		d.leave()
		return nil, failed(err)
	}
	return d, nil
}

// open loads the module and joins the token.
func open(ctx context.Context, c Config) (*Driver, error) {
	if err := c.check(); err != nil {
		return nil, fault("Open", driver.Invalid, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	pin, err := c.PIN.absolute()
	if err != nil {
		return nil, fault("PIN", driver.Unavailable, err)
	}
	c.PIN = pin
	m, err := modules.use(ctx, c.Module, c.Args)
	if err != nil {
		return nil, err
	}
	d := &Driver{limit: closeLimit}
	if err := d.join(ctx, m, c); err != nil {
		m.release()
		return nil, err
	}
	return d, nil
}

// join finds the token, selects its profile and logs in.
func (d *Driver) join(ctx context.Context, m *module, c Config) (err error) {
	var info p11.TokenInfo
	if d.token, info, err = m.tokenFor(ctx, tokenName{c.Serial, c.Label}); err != nil {
		return err
	}
	d.profile = profileOf(c.Profile, trim(info.ManufacturerID))
	d.profile.leftOut = slices.Sorted(slices.Values(c.Without))
	if info.MaxRwSessionCount == 1 {
		return fault("Open", driver.Unsupported, errOneSession)
	}
	d.pool = newPool(m, sessions(c, d.profile, info.MaxRwSessionCount))
	if d.pin, err = newCredential(ctx, c.PIN); err != nil {
		return fault("PIN", driver.Denied, err)
	}
	if err = d.token.join(ctx, d.pin, d.profile.noLogin); err != nil {
		d.pin.close()
	}
	return err
}

var errOneSession = errors.New("the token allows one session: the driver keeps one for the login, and needs another to work")

// sessions returns the number of sessions that are used concurrently. The token's limit
// includes the anchor session; 0 and all ones mean that it has no limit.
func sessions(c Config, p profile, limit uint) int {
	n := c.MaxSessions
	if n == 0 {
		n = p.sessions
	}
	if n == 0 {
		n = max(16, 4*runtime.GOMAXPROCS(0))
	}
	if limit > 0 && limit < uint(n)+1 {
		n = int(limit) - 1
	}
	return n
}

// prepare runs the self-test and makes sure that the token has a sentinel.
func (d *Driver) prepare(ctx context.Context) error {
	able, err := d.token.examined(ctx, d)
	if err != nil {
		return err
	}
	d.able = able
	e := d.token.epoch.Load()
	d.info = driver.Info{
		Name:   "pkcs11",
		Level:  d.profile.levelAt(e.tokenSlot, able),
		Device: device(e.tokenSlot),
		Specs:  able.specs,
		Lister: true,
		Random: able.random,
	}
	return d.watch(ctx)
}

func device(t tokenSlot) driver.Device {
	return driver.Device{
		Manufacturer: trim(t.info.ManufacturerID),
		Model:        trim(t.info.Model),
		Serial:       trim(t.info.SerialNumber),
		Firmware:     version(t.info.FirmwareVersion),
	}
}

// version formats a CK_VERSION as "major.minor".
func version(v p11.Version) string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// leave closes the sessions, and releases the token and the module.
func (d *Driver) leave() error {
	if err := d.token.mod.drain.enter(context.Background()); err == nil {
		d.pool.close(d.token.mod.generation.Load())
		d.token.mod.drain.leave()
	}
	err := d.token.part(d.pin)
	if released := d.token.mod.release(); err == nil {
		err = released
	}
	if err != nil {
		return fault("Close", driver.Unknown, err)
	}
	return nil
}
