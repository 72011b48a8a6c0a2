package drivertest

import (
	"context"

	"strongroom.example/driver"
)

// Protector wraps a protector. The faults of f apply to it as to a key. A device that
// also protects roots thus fails as one device.
func (f *Faulty) Protector(inner driver.Protector) driver.Protector {
	return faultyProtector{inner, f}
}

// A faultyProtector is a protector of a Faulty.
type faultyProtector struct {
	driver.Protector
	of *Faulty
}

func (p faultyProtector) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	var blob driver.Blob
	err := p.of.do(ctx, MethodProtect, func() (err error) {
		blob, err = p.Protector.Protect(ctx, b, root)
		return err
	})
	if err != nil {
		return nil, err
	}
	return blob, nil
}

func (p faultyProtector) Recover(ctx context.Context, dst []byte, b driver.Binding, blob driver.Blob) ([]byte, error) {
	return p.of.output(ctx, MethodRecover, dst, func() ([]byte, error) { return p.Protector.Recover(ctx, dst, b, blob) })
}
