//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/object"
)

// DestroyKey destroys every object under id, and checks in the same session that none is
// left. A missing object is not an error. If the token fails to destroy an object and
// then no longer shows it, the module is initialised again to check. If another library
// in the process initialised the module, that is not possible, and the error is Unknown.
func (d *Driver) DestroyKey(ctx context.Context, id driver.MaterialID, _ driver.Blob) error {
	if !hasDeadline(ctx) {
		return d.destroyKey(ctx, id)
	}
	_, err := bounded(ctx, func() (struct{}, error) { return struct{}{}, d.destroyKey(ctx, id) }, keep)
	return err
}

func (d *Driver) destroyKey(ctx context.Context, id driver.MaterialID) error {
	if err := d.enter(ctx, "DestroyKey"); err != nil {
		return err
	}
	defer d.gate.Leave()
	done, err := d.client.LockForWrite(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	err = d.client.Run(ctx, func(s object.Session) error { return s.DestroyAll(id, d.client.FailedDestroys()) })
	if errors.Is(err, driver.NotFound) {
		return nil // the sentinel is there, so the token shows its objects
	}
	return err
}
