package tpm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/internal/gate"
	"strongroom.example/internal/lockedmem"
)

// A Driver is an open TPM. It implements [driver.Driver], [driver.Importer] and
// [driver.Random] and, if Config.Counter is set, [driver.Counter].
type Driver struct {
	info  driver.Info
	kinds map[driver.KeySpec]kind
	about profile

	gate   gate.Gate
	queue  *queue
	device *device
	ended  chan struct{}
}

var (
	_ driver.Driver   = (*Driver)(nil)
	_ driver.Importer = (*Driver)(nil)
	_ driver.Random   = (*Driver)(nil)
)

// Open connects to the TPM, reads its capabilities, adopts or creates its storage root
// key, and starts the goroutine that runs queued calls. The error is one line that names
// what was tried and a remedy.
//
// Errors:
//   - Unavailable: the TPM cannot be reached, or is not the one that cfg.SRK pins (with
//     the cause driver.ErrWrongDevice).
//   - Denied: the TPM lacks a storage root key or the counter, and its owner set an
//     authorization that cfg.OwnerAuth does not give; or the counter's index is in use.
//   - Unsupported: this system offers no access to its TPM.
func Open(cfg Config) (*Driver, error) { return open(cfg, usual()) }

func open(cfg Config, within limits) (*Driver, error) {
	const op = "Open"
	cfg.Device = absoluteDevice(cfg.Device)
	arena := lockedmem.New(0)
	dev := &device{
		cfg:    cfg,
		arena:  arena,
		link:   link{limits: within, limit: within.command},
		pinned: cfg.SRK,
		slots:  slots{known: make(map[[sha256.Size]byte]*resident)},
	}
	var about profile
	err := dev.perform(context.Background(), func(d *device) (err error) {
		if about, err = d.ask(); err != nil {
			return err
		}
		about.sm2Hash, err = d.probeSM2(about)
		return err
	})
	if err == nil && cfg.Counter != 0 {
		err = dev.perform(context.Background(), (*device).defineCounter)
	}
	if err != nil {
		dev.close()
		arena.Close()
		return nil, openFault(op, cfg, err)
	}
	d := &Driver{
		about:  about,
		kinds:  make(map[driver.KeySpec]kind),
		device: dev,
		ended:  make(chan struct{}),
	}
	d.queue = newQueue(cfg.queue())
	d.queue.perform, d.queue.launch = d.perform, d.launch
	d.describe(cfg)
	go d.serve()
	return d, nil
}

// openFault classifies the error that prevented the TPM from being opened.
func openFault(op string, cfg Config, err error) error {
	var lost *lostError
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return fault(op, driver.Unsupported, err)
	case errors.As(err, &lost):
		return fault(op, driver.Unavailable, fmt.Errorf("no TPM at %s: %w%s", cfg.place(), lost.err, silence(lost.err)))
	case errors.Is(err, errOwner):
		return fault(op, driver.Denied, err)
	}
	return classify(op, err)
}

// describe sets Info from the TPM's capabilities.
func (d *Driver) describe(cfg Config) {
	d.info = driver.Info{
		Name:    "tpm",
		Level:   driver.LevelTPM,
		Device:  d.about.device(d.device.pinned),
		Random:  true,
		Counter: cfg.Counter != 0,
	}
	if d.about.software() && !cfg.TrustSoftware {
		d.info.Level = driver.LevelSoftware
	}
	for _, k := range d.about.kinds() {
		d.kinds[k.row.Spec] = k
		d.info.Specs = append(d.info.Specs, k.row)
	}
}

// Info returns the TPM's identity and capabilities. The serial number of the device is
// the name of its storage root key. A software TPM has the protection level of software,
// unless Config.TrustSoftware is set.
func (d *Driver) Info() driver.Info { return d.info }

// serve is the goroutine that runs the waiting jobs whenever the queue gives it the TPM.
func (d *Driver) serve() {
	defer close(d.ended)
	for f := range d.queue.turn {
		d.flow(f)
		for j := d.queue.next(d.device.loaded); j != nil; j = d.queue.next(d.device.loaded) {
			if d.flows(j) {
				d.flow(d.begin(d.device.prepare(j, d.device.session)))
			} else {
				d.queue.finish(j, d.perform(j))
			}
		}
	}
}

// perform runs a job, unless its context is done.
func (d *Driver) perform(j *job) (err error) {
	if err = j.ctx.Err(); err != nil {
		return err
	}
	ended := false
	defer func() {
		if !ended { // a transport of the caller panicked; the state of the connection is unknown
			d.device.drop()
		}
	}()
	err = d.device.perform(j.ctx, j.work)
	ended = true
	return err
}

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
func (d *Driver) offered(ctx context.Context, op string, spec driver.KeySpec) (kind, error) {
	if err := d.enter(ctx, op); err != nil {
		return kind{}, err
	}
	k, ok := d.kinds[spec]
	if !ok {
		d.gate.Leave()
		return kind{}, fault(op, driver.Unsupported, errSpec)
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
	d.queue.close()
	<-d.ended
	d.device.close()
	d.device.slots.releaseAll()
	if err := d.device.arena.Close(); err != nil {
		return fault("Close", driver.Unknown, err)
	}
	return nil
}
