package drivertest

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
)

// A protectorMutant is a recovery code with a fault. The checks of each edition must find
// it.
type protectorMutant struct {
	name   string
	bend   func(*soft.RecoveryCode) driver.Protector
	caught string
}

func protectorMutants() []protectorMutant {
	common := newCode()
	return []protectorMutant{
		{"kind of its own", func(c *soft.RecoveryCode) driver.Protector { return strangeKind{c} }, "KindNamed"},
		{"Recover moves dst", func(c *soft.RecoveryCode) driver.Protector { return movingRecover{c} }, "RootRoundTrip"},
		{"root of any length", func(c *soft.RecoveryCode) driver.Protector { return anyRoot{c} }, "RootWrongLength"},
		{"the same blob again", func(c *soft.RecoveryCode) driver.Protector { return &repeating{RecoveryCode: c} }, "ProtectsAfresh"},
		{"every code opens", func(*soft.RecoveryCode) driver.Protector { return common }, "WrongProtectorDenied"},
		{"bound to no vault", func(c *soft.RecoveryCode) driver.Protector { return unbound{c} }, "OtherBindingDenied"},
		{"byte that nobody looks at", func(c *soft.RecoveryCode) driver.Protector { return slackBlob{c} }, "BlobFlipped"},
		{"more bytes than there should be", func(c *soft.RecoveryCode) driver.Protector { return longBlob{c} }, "BlobTruncated"},
		{"root in the blob", func(c *soft.RecoveryCode) driver.Protector { return clearRoot{c} }, "BlobHidesRoot"},
		{"Protect wipes the root", func(c *soft.RecoveryCode) driver.Protector { return rootWiper{c} }, "InputNotModified"},
		{"ended context is not seen", func(c *soft.RecoveryCode) driver.Protector { return heedlessProtector{c} }, "CanceledContext"},
		{"Discard keeps the blob", func(c *soft.RecoveryCode) driver.Protector { return keepsDiscarded{c} }, "DiscardedDenied"},
	}
}

func newCode() *soft.RecoveryCode {
	c, err := soft.NewRecoveryCode()
	if err != nil {
		panic(err)
	}
	return c
}

func protectorFindings(bend func(*soft.RecoveryCode) driver.Protector, e driver.Edition) map[string]string {
	found := make(map[string]string)
	for _, c := range protectorChecks() {
		r := new(recorder)
		r.run(func() { c.run(r, protectors{bend(newCode()), bend(newCode()), e}) })
		if failure, failed := r.first(); failed {
			found[c.name] = failure
		}
	}
	return found
}

func TestProtectorMutants(t *testing.T) {
	named := make(map[string]bool)
	for _, m := range protectorMutants() {
		named[m.caught] = true
		for _, e := range editions() {
			if _, ok := protectorFindings(m.bend, e)[m.caught]; !ok {
				t.Errorf("%s: the check %s does not find the fault in the %v edition", m.name, m.caught, e)
			}
		}
	}
	for _, c := range protectorChecks() {
		if !named[c.name] {
			t.Errorf("the check %s has no mutant", c.name)
		}
	}
}

func TestProtectorControl(t *testing.T) {
	for _, e := range editions() {
		for check, failure := range protectorFindings(func(c *soft.RecoveryCode) driver.Protector { return c }, e) {
			t.Errorf("%v: %s: %s", e, check, failure)
		}
	}
}

type strangeKind struct{ *soft.RecoveryCode }

func (strangeKind) Kind() string { return "horoscope" }

type movingRecover struct{ *soft.RecoveryCode }

func (p movingRecover) Recover(ctx context.Context, dst []byte, b driver.Binding, blob driver.Blob) ([]byte, error) {
	return p.RecoveryCode.Recover(ctx, slices.Clip(dst), b, blob)
}

type anyRoot struct{ *soft.RecoveryCode }

func (p anyRoot) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	return p.RecoveryCode.Protect(ctx, b, resized(root, 32))
}

type repeating struct {
	*soft.RecoveryCode
	blob driver.Blob
}

func (p *repeating) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	if p.blob != nil {
		return p.blob, nil
	}
	var err error
	p.blob, err = p.RecoveryCode.Protect(ctx, b, root)
	return p.blob, err
}

type unbound struct{ *soft.RecoveryCode }

func (p unbound) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	return p.RecoveryCode.Protect(ctx, driver.Binding{Edition: b.Edition}, root)
}

func (p unbound) Recover(ctx context.Context, dst []byte, b driver.Binding, blob driver.Blob) ([]byte, error) {
	return p.RecoveryCode.Recover(ctx, dst, driver.Binding{Edition: b.Edition}, blob)
}

type slackBlob struct{ *soft.RecoveryCode }

func (p slackBlob) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	blob, err := p.RecoveryCode.Protect(ctx, b, root)
	return append(blob, 0), err
}

func (p slackBlob) Recover(ctx context.Context, dst []byte, b driver.Binding, blob driver.Blob) ([]byte, error) {
	return p.RecoveryCode.Recover(ctx, dst, b, blob[:max(0, len(blob)-1)])
}

// A longBlob accepts trailing data.
type longBlob struct{ *soft.RecoveryCode }

func (p longBlob) Recover(ctx context.Context, dst []byte, b driver.Binding, blob driver.Blob) ([]byte, error) {
	own, err := p.Protect(ctx, b, make([]byte, 32))
	if err != nil {
		return nil, err
	}
	return p.RecoveryCode.Recover(ctx, dst, b, blob[:min(len(blob), len(own))])
}

type clearRoot struct{ *soft.RecoveryCode }

func (p clearRoot) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	blob, err := p.RecoveryCode.Protect(ctx, b, root)
	return append(blob, root...), err
}

func (p clearRoot) Recover(ctx context.Context, dst []byte, b driver.Binding, blob driver.Blob) ([]byte, error) {
	return p.RecoveryCode.Recover(ctx, dst, b, blob[:max(0, len(blob)-32)])
}

type rootWiper struct{ *soft.RecoveryCode }

func (p rootWiper) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	own := bytes.Clone(root)
	clear(root)
	return p.RecoveryCode.Protect(ctx, b, own)
}

type heedlessProtector struct{ *soft.RecoveryCode }

func (p heedlessProtector) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	return p.RecoveryCode.Protect(context.WithoutCancel(ctx), b, root)
}

type keepsDiscarded struct{ *soft.RecoveryCode }

func (keepsDiscarded) Discard(context.Context, driver.Binding, driver.Blob) error { return nil }
