//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/driver"
)

// examined returns the abilities of the token. The first driver in the process runs the
// self-test. It is repeated for another firmware, profile or list of omitted abilities,
// and if the last result was in doubt.
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

// examine runs the self-test, one at a time in the token. If the token fails permanently
// during a trial, the error names the ability that was tried.
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
	return Report{device(at), d.profile.name, d.profile.levelAt(at, able), able.specs, able.findings, d.token.mod.info}, err
}
