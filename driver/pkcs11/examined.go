//go:build cgo && unix

package pkcs11

import "context"

// examined returns what the token can do. The first driver in the process finds out;
// one that sees another firmware, or has another profile, does so again, and so does
// the next where an answer is in doubt.
func (t *token) examined(ctx context.Context, d *Driver) (*abilities, error) {
	if err := t.trials.take(ctx); err != nil {
		return nil, err
	}
	defer t.trials.give()
	as := d.profile.name + " " + device(t.epoch.Load().tokenSlot).Firmware
	if known := t.able[as]; known != nil {
		return known, nil
	}
	able, err := d.examine(ctx)
	if err != nil {
		return nil, err
	}
	if able.doubtful == nil {
		t.able[as] = able
	}
	return able, nil
}

// examine has the token tried. One at a time does so.
func (d *Driver) examine(ctx context.Context) (able *abilities, err error) {
	err = d.run(ctx, func(s session) (err error) {
		able, err = s.examine(d.profile)
		return err
	})
	return able, err
}

// Probe opens the token that c names, tries what it can do, whatever an earlier Open
// found, and closes it. Where the token has no key that the driver can use, the report
// comes with an error that is Unsupported.
func Probe(ctx context.Context, c Config) (Report, error) {
	d, err := open(ctx, c)
	if err != nil {
		return Report{}, failed(err)
	}
	defer d.leave()
	if err := d.token.trials.take(ctx); err != nil {
		return Report{}, err
	}
	able, err := d.examine(ctx)
	d.token.trials.give()
	if able == nil {
		return Report{}, err
	}
	at := d.token.epoch.Load().tokenSlot
	return Report{device(at), d.profile.name, d.profile.levelAt(at, able), able.specs, able.findings}, err
}
