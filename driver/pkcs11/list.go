//go:build cgo && unix

package pkcs11

import (
	"context"
	"iter"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/object"
)

// ListKeys yields the ids of the keys that this package made in the token: those with its
// label and an id of 16 bytes. It reads the whole list first, in one session; the time
// grows with the number of objects in the token.
func (d *Driver) ListKeys(ctx context.Context) iter.Seq2[driver.MaterialID, error] {
	return func(yield func(driver.MaterialID, error) bool) {
		ids, err := d.list(ctx)
		if err != nil {
			yield(driver.MaterialID{}, err)
			return
		}
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

func (d *Driver) list(ctx context.Context) ([]driver.MaterialID, error) {
	if !hasDeadline(ctx) {
		return d.listKeys(ctx)
	}
	return bounded(ctx, func() ([]driver.MaterialID, error) { return d.listKeys(ctx) }, keep)
}

func (d *Driver) listKeys(ctx context.Context) (ids []driver.MaterialID, err error) {
	if err := d.enter(ctx, "ListKeys"); err != nil {
		return nil, err
	}
	defer d.gate.Leave()
	err = d.client.Run(ctx, func(s object.Session) (err error) {
		ids, err = s.List(d.client.HasSentinel())
		return err
	})
	return ids, err
}
