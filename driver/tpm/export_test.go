package tpm

import (
	"context"
	"time"

	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
)

// Do runs commands of a test on the TPM, between commands of the driver.
func (d *Driver) Do(act func(transport.TPM) error) error {
	return d.queue.do("test", &job{ctx: context.Background(), lane: urgent, cost: "test", act: func(dev *device) error {
		return act(&dev.link)
	}})
}

// Sent returns the number of commands that were sent.
func (d *Driver) Sent() (n uint64) {
	d.queue.do("test", &job{ctx: context.Background(), lane: urgent, cost: "test", act: func(dev *device) error {
		n = dev.link.sent
		return nil
	}})
	return n
}

// Areas returns the public and the private area in a protector's blob.
func Areas(b driver.Blob) (public, private []byte) {
	s, err := decodeSealed(b)
	if err != nil {
		panic(err)
	}
	return s.public, s.private
}

// Auth returns the authorization value in a key's blob.
func Auth(id driver.MaterialID, spec driver.KeySpec, b driver.Blob) []byte {
	parts, err := decode(keyName{id, spec}, b)
	if err != nil {
		panic(err)
	}
	return parts.auth
}

// Waiting returns the number of calls in the queue.
func (d *Driver) Waiting() int { return d.queue.waitingNow() }

// Explain exports explain.
func Explain(err error) error { return explain(err) }

// AgeSession makes the session old enough to be renewed.
func (d *Driver) AgeSession() {
	d.queue.do("test", &job{ctx: context.Background(), lane: urgent, cost: "test", act: func(dev *device) error {
		dev.session.born = dev.session.born.Add(-2 * sessionAge)
		return nil
	}})
}

// Drop loses the connection and leaves the driver's objects in the TPM, as a killed
// program does.
func (d *Driver) Drop() {
	d.queue.do("test", &job{ctx: context.Background(), lane: urgent, cost: "test", act: func(dev *device) error {
		dev.link.close()
		return nil
	}})
}

// Limits are the limits that tests change.
type Limits struct{ Greeting, Patience, SelfTest time.Duration }

// OpenWithin opens a TPM with other limits than the usual ones.
func OpenWithin(cfg Config, l Limits) (*Driver, error) {
	within := usual()
	within.greeting, within.patience, within.selfTest = l.Greeting, l.Patience, l.SelfTest
	return open(cfg, within)
}
