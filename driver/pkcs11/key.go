//go:build cgo && unix

package pkcs11

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/driver/pkcs11/internal/object"
	"strongroom.example/internal/gate"
	"strongroom.example/internal/suite"
)

// A handle is the common part of every opened key.
type handle struct {
	driver *Driver
	object *object.Object
	gate   gate.Gate
}

// enter checks the context, then lets a call into the driver and the key.
func (h *handle) enter(ctx context.Context, op string) error {
	if err := h.driver.enter(ctx, op); err != nil {
		return err
	}
	if !h.gate.Enter() {
		h.driver.gate.Leave()
		return cryptoki.Fault(op, driver.Unavailable, errClosed)
	}
	return nil
}

// Lookups returns how often the key was looked up by its id; see [driver.Tracked].
func (h *handle) Lookups() uint64 { return h.object.Lookups.Load() }

func (h *handle) leave() {
	h.gate.Leave()
	h.driver.gate.Leave()
}

// Close waits for running calls, for at most 30 s. The object stays in the token.
func (h *handle) Close() error {
	h.gate.Close()
	return waitFor(&h.gate, h.driver.limit, func() error { return nil })
}

// OpenKey finds the key and checks that it matches spec. Errors: NotFound if there is no
// such object; Authentic if the object under the id has other roles, another size or
// other attributes, or if blob is not empty, because keys of a token have no blob.
func (d *Driver) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	if !hasDeadline(ctx) {
		return d.openKey(ctx, id, spec, blob)
	}
	return bounded(ctx, func() (driver.Key, error) { return d.openKey(ctx, id, spec, blob) }, func(k driver.Key) { k.Close() })
}

func (d *Driver) openKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	const op = "OpenKey"
	sh, err := d.enterFor(ctx, op, spec)
	if err != nil {
		return nil, err
	}
	defer d.gate.Leave()
	if len(blob) != 0 {
		return nil, cryptoki.Fault(op, driver.Authentic, errBlob)
	}
	h := &handle{driver: d, object: &object.Object{Shape: sh, ID: id}}
	var public crypto.PublicKey
	err = d.client.Run(ctx, func(s object.Session) (err error) {
		o, err := h.object.Handle(s)
		if err != nil {
			return err
		}
		public, err = s.CheckKey(o, d.lasting(sh, id))
		return h.object.DropHandleOn(err)
	})
	if err != nil {
		return nil, err
	}
	return d.keyOf(h, public), nil
}

// openEach opens every key of spec under id. There is more than one if a key was made
// again while the token did not show the first. Each key is usable until its handle is
// lost.
func (d *Driver) openEach(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) ([]driver.Key, error) {
	if !hasDeadline(ctx) {
		return d.openAll(ctx, id, spec)
	}
	return bounded(ctx, func() ([]driver.Key, error) { return d.openAll(ctx, id, spec) }, keep)
}

func (d *Driver) openAll(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (keys []driver.Key, err error) {
	sh, err := d.enterFor(ctx, "OpenKey", spec)
	if err != nil {
		return nil, err
	}
	defer d.gate.Leave()
	err = d.client.Run(ctx, func(s object.Session) error {
		keys = nil
		found, err := s.Find(sh.Search(id))
		if err == nil && len(found) == 0 {
			err = cryptoki.ErrAbsent
		}
		if err != nil {
			return err
		}
		for _, o := range found {
			public, err := s.CheckKey(o, d.lasting(sh, id))
			if errors.Is(err, cryptoki.ErrNotConforming) && len(found) > 1 {
				continue // an object of another shape
			}
			if err != nil {
				return err
			}
			keys = append(keys, d.keyOf(&handle{driver: d, object: s.ObjectAt(o, d.lasting(sh, id))}, public))
		}
		if len(keys) == 0 {
			return cryptoki.ErrNotConforming
		}
		return nil
	})
	return keys, err
}

// keyOf returns the key for a handle, with the interface of its usage.
func (d *Driver) keyOf(h *handle, public crypto.PublicKey) driver.Key {
	spec := h.object.Shape.Spec
	row, _ := d.info.Find(spec)
	switch spec.Usage {
	case driver.Derive:
		return &prfKey{handle: h}
	case driver.Sign:
		return &signKey{handle: h, algs: row.Sign, size: object.SignatureSize(h.object.Shape)}
	case driver.Decrypt:
		return &decryptKey{handle: h, algs: row.Decrypt, public: public.(*rsa.PublicKey)}
	}
	return &unwrapKey{handle: h, public: public.(*rsa.PublicKey)}
}

// appendInto calls f to fill a buffer of n bytes and appends the result to dst, in place
// if there is space, otherwise through a buffer that is wiped. After an error it leaves
// no data behind.
func appendInto(dst []byte, n int, f func(out []byte) (int, error)) ([]byte, error) {
	var out []byte
	inPlace := cap(dst)-len(dst) >= n
	if inPlace {
		out = dst[len(dst) : len(dst)+n]
	} else {
		out = suite.NewSecret(n)
		defer suite.Wipe(out)
	}
	filled, err := f(out)
	if err != nil {
		suite.Wipe(out)
		return nil, err
	}
	if inPlace {
		suite.Wipe(out[filled:])
		return dst[:len(dst)+filled], nil
	}
	return append(dst, out[:filled]...), nil
}
