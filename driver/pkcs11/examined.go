//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/driver"
)

// examined returns what the token can do. The first driver in the process finds out;
// one that sees another firmware, has another profile or leaves out other abilities does so
// again, and so does the next where an answer is in doubt.
func (t *token) examined(ctx context.Context, d *Driver) (*abilities, error) {
	if err := t.trials.take(ctx); err != nil {
		return nil, err
	}
	defer t.trials.give()
	as := d.profile.name + " " + device(t.epoch.Load().tokenSlot).Firmware + fmt.Sprint(d.profile.leftOut)
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

// examine has the token tried. One at a time does so. Where the token died of a trial and
// of the next, the error names it.
func (d *Driver) examine(ctx context.Context) (able *abilities, err error) {
	if !d.profile.parallel {
		if err := d.token.writer.take(ctx); err != nil {
			return nil, err
		}
		defer d.token.writer.give()
	}
	var died *trialError
	err = d.run(ctx, func(s session) (err error) {
		able, err = s.examine(d.profile)
		errors.As(err, &died)
		return err
	})
	if died != nil && errors.Is(err, errDown) {
		err = fault("self-test", driver.Unavailable, died)
	}
	return able, err
}

// Probe opens the token that c names, tries what it can do, whatever an earlier Open
// found, and closes it. Where the token has no key that the driver can use, the report
// comes with an error that is Unsupported.
func Probe(ctx context.Context, c Config) (Report, error) {
	if !hasDeadline(ctx) {
		return probe(ctx, c)
	}
	return bounded(ctx, func() (Report, error) { return probe(ctx, c) }, keep)
}

func probe(ctx context.Context, c Config) (Report, error) {
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
