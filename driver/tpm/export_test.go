package tpm

import (
	"context"
	"time"

	tpmtransport "github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/format"
	"strongroom.example/driver/tpm/internal/queue"
	"strongroom.example/driver/tpm/internal/transport"
)

// Do runs commands of a test on the TPM, between commands of the driver.
func (d *Driver) Do(act func(tpmtransport.TPM) error) error {
	return d.do(context.Background(), "test", queue.Urgent, func(dev *device) error {
		return act(&dev.link)
	})
}

// Sent returns the number of commands that were sent.
func (d *Driver) Sent() (n uint64) {
	d.do(context.Background(), "test", queue.Urgent, func(dev *device) error {
		n = dev.link.Sent
		return nil
	})
	return n
}

// Areas returns the public and the private area in a protector's blob.
func Areas(b driver.Blob) (public, private []byte) {
	s, err := format.DecodeSealed(b)
	if err != nil {
		panic(err)
	}
	return s.Public, s.Private
}

// Auth returns the authorization value in a key's blob.
func Auth(id driver.MaterialID, spec driver.KeySpec, b driver.Blob) []byte {
	parts, err := format.DecodeKey(format.KeyName{ID: id, Spec: spec}, b)
	if err != nil {
		panic(err)
	}
	return parts.Auth
}

// Waiting returns the number of calls in the queue.
func (d *Driver) Waiting() int { return d.queue.Waiting() }

// SetQuick sets the longest expected time of a command in a pipeline. No call may run.
func (d *Driver) SetQuick(limit time.Duration) { d.quick = limit }

// AgeSession makes the session old enough to be renewed.
func (d *Driver) AgeSession() {
	d.do(context.Background(), "test", queue.Urgent, func(dev *device) error {
		dev.session.Started = dev.session.Started.Add(-2 * sessionAge)
		return nil
	})
}

// Drop loses the connection and leaves the driver's objects in the TPM, as a killed
// program does.
func (d *Driver) Drop() {
	d.do(context.Background(), "test", queue.Urgent, func(dev *device) error {
		dev.link.Close()
		return nil
	})
}

// TestLimits are the limits that tests change.
type TestLimits struct{ Greeting, Patience, SelfTest time.Duration }

// OpenWithin opens a TPM with other limits than the usual ones.
func OpenWithin(ctx context.Context, cfg Config, l TestLimits) (*Driver, error) {
	within := transport.DefaultLimits()
	within.Greeting, within.Retry, within.SelfTest = l.Greeting, l.Patience, l.SelfTest
	return open(ctx, cfg, within)
}
