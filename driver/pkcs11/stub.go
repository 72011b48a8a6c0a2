//go:build !cgo || !unix

package pkcs11

import (
	"context"
	"errors"

	"strongroom.example/driver"
)

var errBuilt = errors.New("built without PKCS#11: it needs cgo and a Unix")

// Open fails with Unsupported: this program was built without PKCS #11, which needs cgo
// and a Unix system.
func Open(ctx context.Context, c Config) (driver.Driver, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, fault("Open", driver.Unsupported, errBuilt)
}

// Probe fails with Unsupported, like Open.
func Probe(ctx context.Context, c Config) (Report, error) {
	_, err := Open(ctx, c)
	return Report{}, err
}
