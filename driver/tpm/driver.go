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

// A Driver is a TPM that was opened: a [driver.Driver], a [driver.Importer], a
// [driver.Random] and, if Config.Counter is set, a [driver.Counter].
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

// Open finds the TPM, asks it what it can do, adopts its storage root key or makes one,
// and starts the goroutine that serves those who wait for it. Its error is one line that says what was tried
// and what to do: Unavailable where the TPM is not there or another than cfg.SRK pins,
// Denied where its owner must allow something.
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

// openFault classifies what kept a TPM from being opened.
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

// describe makes Info of what the TPM said.
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

// Info returns what the TPM is and can do. The serial of the device is the name of its
// storage root key. A software TPM has the level of software.
func (d *Driver) Info() driver.Info { return d.info }

// serve is the goroutine that does the jobs of those who wait, when it is given the TPM.
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

// perform does a job, unless nobody waits for it any more.
func (d *Driver) perform(j *job) (err error) {
	if err = j.ctx.Err(); err != nil {
		return err
	}
	ended := false
	defer func() {
		if !ended { // a transport of the caller's panics: where it stands nobody knows
			d.device.drop()
		}
	}()
	err = d.device.perform(j.ctx, j.work)
	ended = true
	return err
}

// enter checks the context before anything else, then lets a call in.
func (d *Driver) enter(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !d.gate.Enter() {
		return fault(op, driver.Unavailable, errClosed)
	}
	return nil
}

// offered lets a call on a spec in.
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

// DestroyKey does nothing lasting: the key dies with what wraps its blob.
func (d *Driver) DestroyKey(ctx context.Context, _ driver.MaterialID, _ driver.Blob) error {
	if err := d.enter(ctx, "DestroyKey"); err != nil {
		return err
	}
	d.gate.Leave()
	return nil
}

// Close waits for running calls, and takes out of the TPM what the driver has in it.
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
