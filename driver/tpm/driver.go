package tpm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/object"
	"strongroom.example/driver/tpm/internal/queue"
	"strongroom.example/driver/tpm/internal/transport"
	"strongroom.example/internal/gate"
)

// A Driver is an open TPM. It implements [driver.Driver], [driver.Importer] and
// [driver.Random] and, if Config.Counter is set, [driver.Counter].
type Driver struct {
	info  driver.Info
	kinds map[driver.KeySpec]object.Kind
	about profile

	gate   gate.Gate
	queue  *queue.Queue[work]
	device *device
	turn   chan *inflight // gives the TPM to serve, with the command that was already sent, if any
	ended  chan struct{}
	quick  time.Duration // see const quick
}

var (
	_ driver.Driver   = (*Driver)(nil)
	_ driver.Importer = (*Driver)(nil)
	_ driver.Random   = (*Driver)(nil)
)

// Open connects to the TPM, reads its capabilities, adopts or creates its storage root
// key, and starts the goroutine that runs queued calls. The error is one line that names
// what was tried and a remedy. ctx bounds the opening only; a command that the TPM executes
// is not interrupted.
//
// Errors:
//   - the error of ctx, if it ended before the TPM was reached.
//   - Unavailable: the TPM cannot be reached, or is not the one that cfg.SRK pins (with
//     the cause driver.ErrWrongDevice).
//   - Denied: the TPM lacks a storage root key or the counter, and its owner set an
//     authorization that cfg.OwnerAuth does not give; or the counter's index is in use.
//   - Unsupported: this system offers no access to its TPM.
func Open(ctx context.Context, cfg Config) (*Driver, error) {
	return open(ctx, cfg, transport.DefaultLimits())
}

func open(ctx context.Context, cfg Config, within transport.Limits) (*Driver, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dev := newDevice(cfg, within)
	about, err := dev.examine(ctx)
	if err != nil {
		dev.close()
		dev.arena.Close()
		return nil, openFault(ctx, dev.address, err)
	}
	d := &Driver{
		about:  about,
		kinds:  make(map[driver.KeySpec]object.Kind),
		device: dev,
		turn:   make(chan *inflight, 1),
		ended:  make(chan struct{}),
		quick:  quick,
	}
	d.queue = queue.New(cfg.queueLimit(), queue.Server[work]{Run: d.runJob, HandOver: d.handOver})
	d.describe(cfg)
	go d.serve()
	return d, nil
}

// examine connects to the TPM, reads its capabilities, and adopts or creates the counter.
func (d *device) examine(ctx context.Context) (about profile, err error) {
	err = d.perform(ctx, func(d *device) (err error) {
		if about, err = d.queryCapabilities(); err != nil {
			return err
		}
		about.sm2Hash, err = d.probeSM2(about)
		return err
	})
	if err == nil && d.cfg.Counter != 0 {
		err = d.perform(ctx, (*device).defineCounter)
	}
	return about, err
}

// openFault classifies the error that prevented the TPM from being opened.
func openFault(ctx context.Context, at transport.Address, err error) error {
	const op = "Open"
	var lost *transport.LostError
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return fault(op, driver.Unsupported, err)
	case errors.As(err, &lost) && ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &lost):
		return fault(op, driver.Unavailable, fmt.Errorf("no TPM at %s: %w%s", at, lost.Err, transport.TimeoutHint(lost.Err)))
	case errors.Is(err, errNeedsOwner):
		return fault(op, driver.Denied, err)
	}
	return classify(op, err)
}

// describe sets Info from the TPM's capabilities.
func (d *Driver) describe(cfg Config) {
	d.info = driver.Info{
		Name:    "tpm",
		Level:   driver.LevelTPM,
		Device:  d.about.identity(d.device.pinned),
		Random:  true,
		Counter: cfg.Counter != 0,
	}
	if d.about.software() && !cfg.TrustSoftware {
		d.info.Level = driver.LevelSoftware
	}
	for _, k := range d.about.kinds() {
		d.kinds[k.Row.Spec] = k
		d.info.Specs = append(d.info.Specs, k.Row)
	}
}

// Info returns the TPM's identity and capabilities. The serial number of the device is
// the name of its storage root key. A software TPM has the protection level of software,
// unless Config.TrustSoftware is set.
func (d *Driver) Info() driver.Info { return d.info }

// enter checks the context first, then admits a call into the driver.
func (d *Driver) enter(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !d.gate.Enter() {
		return fault(op, driver.Unavailable, errClosed)
	}
	return nil
}

// offered admits a call for spec into the driver, if the TPM supports spec.
func (d *Driver) offered(ctx context.Context, op string, spec driver.KeySpec) (object.Kind, error) {
	if err := d.enter(ctx, op); err != nil {
		return object.Kind{}, err
	}
	k, ok := d.kinds[spec]
	if !ok {
		d.gate.Leave()
		return object.Kind{}, fault(op, driver.Unsupported, errSpec)
	}
	return k, nil
}

// DestroyKey has no lasting effect: a key becomes unusable when the key that wraps its
// blob is destroyed.
func (d *Driver) DestroyKey(ctx context.Context, _ driver.MaterialID, _ driver.Blob) error {
	if err := d.enter(ctx, "DestroyKey"); err != nil {
		return err
	}
	d.gate.Leave()
	return nil
}

// Close waits for running calls, and flushes everything that the driver has in the TPM.
func (d *Driver) Close() error {
	if !d.gate.Shut() {
		return nil
	}
	d.queue.Close()
	close(d.turn)
	<-d.ended
	d.device.close()
	d.device.slots.releaseAll()
	if err := d.device.arena.Close(); err != nil {
		return fault("Close", driver.Unknown, err)
	}
	return nil
}
