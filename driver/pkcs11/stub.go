//go:build !cgo || !unix

package pkcs11

import (
	"context"
	"errors"
	"iter"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

var errBuilt = errors.New("built without PKCS#11: it needs cgo and a Unix")

// A Driver cannot be opened, because this program was built without PKCS #11. Its methods
// fail with Unsupported.
type Driver struct{ _ byte }

var (
	_ driver.Driver          = (*Driver)(nil)
	_ driver.Importer        = (*Driver)(nil)
	_ driver.WrappedImporter = (*Driver)(nil)
	_ driver.Lister          = (*Driver)(nil)
	_ driver.Random          = (*Driver)(nil)
)

// unsupported returns the error of a method, or the context's error.
func unsupported(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return cryptoki.Fault(op, driver.Unsupported, errBuilt)
}

// Open fails with Unsupported: this program was built without PKCS #11, which needs cgo
// and a Unix system.
func Open(ctx context.Context, c Config) (*Driver, error) { return nil, unsupported(ctx, "Open") }

// Probe fails with Unsupported, like Open.
func Probe(ctx context.Context, c Config) (Report, error) {
	return Report{}, unsupported(ctx, "Open")
}

// Info returns an empty table.
func (*Driver) Info() driver.Info { return driver.Info{Name: "pkcs11"} }

// Protector returns a protector whose methods fail with Unsupported.
func (d *Driver) Protector() *Protector { return newProtector(d) }

// GenerateKey fails with Unsupported.
func (*Driver) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	return driver.Created{}, unsupported(ctx, "GenerateKey")
}

// OpenKey fails with Unsupported.
func (*Driver) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	return nil, unsupported(ctx, "OpenKey")
}

// DestroyKey fails with Unsupported.
func (*Driver) DestroyKey(ctx context.Context, id driver.MaterialID, _ driver.Blob) error {
	return unsupported(ctx, "DestroyKey")
}

// ImportKey fails with Unsupported.
func (*Driver) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, in []byte) (driver.Created, error) {
	return driver.Created{}, unsupported(ctx, "ImportKey")
}

// GenerateWrappingKey fails with Unsupported.
func (*Driver) GenerateWrappingKey(ctx context.Context, id driver.MaterialID, alg driver.KeyAlgorithm) (driver.Created, error) {
	return driver.Created{}, unsupported(ctx, "GenerateWrappingKey")
}

// ImportWrapped fails with Unsupported.
func (*Driver) ImportWrapped(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, w driver.Wrapped) (driver.Created, error) {
	return driver.Created{}, unsupported(ctx, "ImportWrapped")
}

// ListKeys yields an Unsupported error.
func (*Driver) ListKeys(ctx context.Context) iter.Seq2[driver.MaterialID, error] {
	return func(yield func(driver.MaterialID, error) bool) {
		yield(driver.MaterialID{}, unsupported(ctx, "ListKeys"))
	}
}

// Random fails with Unsupported.
func (*Driver) Random(ctx context.Context, p []byte) error { return unsupported(ctx, "Random") }

// Close does nothing.
func (*Driver) Close() error { return nil }
