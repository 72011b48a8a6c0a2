package tpm

import (
	"context"
	"encoding/hex"
	"errors"

	"strongroom.example/driver"
)

var _ driver.Counter = (*Driver)(nil)

var errNoCounter = errors.New("the counter is gone: the TPM was cleared, or somebody deleted it")

const counterSize = 8

// Identity is the name of the NV index in hexadecimal. That of a counter which this driver
// made has a random part, so that one that was deleted and made anew has another.
func (d *Driver) Identity(ctx context.Context) (string, error) {
	var identity string
	err := d.count(ctx, "TPM2_NV_ReadPublic", func(dev *device) error {
		e, err := dev.counterIndex()
		identity = hex.EncodeToString(e.name)
		return err
	})
	return identity, err
}

// Read returns the count. The first count of a TPM's first counter is 1, that of a
// later one is above all that were.
func (d *Driver) Read(ctx context.Context) (uint64, error) {
	var value uint64
	err := d.count(ctx, "TPM2_NV_Read", func(dev *device) (err error) {
		value, err = dev.readCounter()
		return err
	})
	return value, err
}

// Increment adds one. Chips bear about half a million increments. Where the TPM went
// away meanwhile it is read before anything is done again, so one call never counts
// twice; if it does not come back the error is Unknown.
func (d *Driver) Increment(ctx context.Context) (uint64, error) {
	const op = "TPM2_NV_Increment"
	var before, after uint64
	begun := false
	err := d.count(ctx, op, func(dev *device) (err error) {
		now, err := dev.readCounter()
		if err != nil {
			return err
		}
		if begun && now != before {
			after = now
			return nil
		}
		before, begun = now, true
		if err := dev.incrementCounter(); err != nil {
			return err
		}
		after, err = dev.readCounter()
		return err
	})
	if begun && errors.Is(err, driver.Unavailable) {
		err = fault(op, driver.Unknown, err)
	}
	return after, err
}

// count runs something on the counter, if there is one.
func (d *Driver) count(ctx context.Context, op string, act func(*device) error) error {
	if err := d.enter(ctx, op); err != nil {
		return err
	}
	defer d.gate.Leave()
	if !d.info.Counter {
		return fault(op, driver.Unsupported, errors.New("Config.Counter names no NV index"))
	}
	return d.queue.do(op, &job{ctx: ctx, lane: ordinary, cost: op, act: act})
}
