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

// Identity returns the name of the NV index in hexadecimal. The name of a counter that
// this driver created has a random part, so that a counter that was deleted and created
// again has another identity.
func (d *Driver) Identity(ctx context.Context) (string, error) {
	var identity string
	err := d.count(ctx, "TPM2_NV_ReadPublic", func(dev *device) error {
		e, err := dev.counterIndex()
		identity = hex.EncodeToString(e.name)
		return err
	})
	return identity, err
}

// Read returns the count. The first counter of a TPM starts at 1; a later one starts
// above the highest count that any counter of that TPM has had.
func (d *Driver) Read(ctx context.Context) (uint64, error) {
	var value uint64
	err := d.count(ctx, "TPM2_NV_Read", func(dev *device) (err error) {
		value, err = dev.readCounter()
		return err
	})
	return value, err
}

// Increment adds one to the counter and returns the new count. A chip's NV memory lasts
// for about half a million increments. If the connection is lost during the call, the
// driver reads the counter before it repeats anything, so that one call never counts
// twice. If the TPM cannot be reached again the error is Unknown.
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

// count runs act on the TPM, if a counter is configured.
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
