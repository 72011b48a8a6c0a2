package tpm

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/format"
	"strongroom.example/driver/tpm/internal/object"
	"strongroom.example/driver/tpm/internal/queue"
	"strongroom.example/driver/tpm/internal/wire"
	"strongroom.example/internal/gate"
	"strongroom.example/internal/suite"
)

// A key is an open key. The type for each usage embeds it.
type key struct {
	redacted
	driver *Driver
	kind   object.Kind
	res    *resident
	gate   *gate.Gate
	once   *sync.Once
}

// newKey returns the Key type for the usage of a kind.
func (d *Driver) newKey(k object.Kind, r *resident, area *tpm2.TPMTPublic) driver.Key {
	base := key{driver: d, kind: k, res: r, gate: new(gate.Gate), once: new(sync.Once)}
	switch {
	case k.Row.Spec.Usage == driver.Derive:
		return &hmacKey{key: base}
	case k.Row.Spec.Usage == driver.Sign:
		return &signKey{key: base, area: area}
	case k.Curve != 0:
		return &sm2Key{key: base}
	}
	return &rsaKey{key: base, area: area}
}

// Close releases the handle. The key stays loaded in the TPM until its slot is needed.
func (k *key) Close() error {
	k.gate.Shut()
	k.once.Do(func() {
		// If the driver was closed, it has already released the key.
		if k.driver.gate.Enter() {
			defer k.driver.gate.Leave()
			k.driver.device.slots.release(k.res)
		}
	})
	return nil
}

// enter checks the context, then admits a call into the driver and the key.
func (k *key) enter(ctx context.Context, op string) error {
	if err := k.driver.enter(ctx, op); err != nil {
		return err
	}
	if !k.gate.Enter() {
		k.driver.gate.Leave()
		return fault(op, driver.Unavailable, errClosed)
	}
	return nil
}

func (k *key) leave() {
	k.gate.Leave()
	k.driver.gate.Leave()
}

// OpenKey loads a key; the TPM verifies its blob.
//
// Errors:
//   - NotFound: the blob is empty, or belongs to another TPM or to this one before it was
//     cleared; in the latter case the cause is driver.ErrWrongDevice.
//   - Authentic: the blob was changed, or belongs to another id or spec.
//   - Unsupported: the TPM does not support spec.
func (d *Driver) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, b driver.Blob) (driver.Key, error) {
	const op = "TPM2_Load"
	k, err := d.offered(ctx, op, spec)
	if err != nil {
		return nil, err
	}
	defer d.gate.Leave()
	if len(b) == 0 {
		return nil, fault(op, driver.NotFound, errAbsent)
	}
	n := format.KeyName{ID: id, Spec: spec}
	parts, err := format.DecodeKey(n, b)
	if err != nil {
		return nil, fault(op, driver.Authentic, err)
	}
	area, err := object.ParseArea(parts.Public)
	if err != nil {
		return nil, fault(op, driver.Authentic, err)
	}
	if parts.FromFile {
		err = k.CheckFile(area)
	} else {
		err = k.Check(area, n.Binding(parts.Auth))
	}
	if err != nil {
		return nil, fault(op, driver.Authentic, format.ErrDamaged)
	}
	var r *resident
	err = d.do(ctx, op, queue.Ordinary, func(dev *device) (err error) {
		r, err = dev.open(n, n.Digest(b), parts)
		return err
	})
	if err != nil {
		return nil, err
	}
	return d.newKey(k, r, area), nil
}

// open returns the resident key of a blob, and loads it if it is not open yet.
func (d *device) open(n format.KeyName, hash [32]byte, parts format.Key) (*resident, error) {
	if r := d.slots.find(hash); r != nil {
		return r, nil
	}
	if !bytes.Equal(parts.Parent, d.srk.Name) {
		return nil, fault("TPM2_Load", driver.NotFound, errOther)
	}
	auth, err := d.arena.Alloc(format.AuthLength)
	if err != nil {
		return nil, fault("TPM2_Load", driver.Throttled, err)
	}
	value := parts.AuthValue(n)
	copy(auth.Bytes(), value)
	suite.Wipe(value)
	r := &resident{id: hash, public: slices.Clone(parts.Public), private: slices.Clone(parts.Private), auth: auth}
	if _, err := d.use(r); err != nil {
		auth.Free()
		return nil, d.loadError(parts.Parent, err)
	}
	if parts.FromFile {
		if err := d.checkFileAuth(r); err != nil {
			d.flush(r.handle)
			d.slots.setHandle(r, 0) // also frees auth
			return nil, err
		}
	}
	d.slots.add(r)
	return r, nil
}

// loadError classifies why the TPM does not load a blob that names this TPM: the TPM was
// cleared since the driver was opened, or the blob is damaged.
func (d *device) loadError(parent []byte, err error) error {
	const parameter = 0x40
	code := wire.CodeOf(err)
	if wire.Base(code) != tpm2.TPMRCIntegrity && (code&0x80 == 0 || code&parameter == 0) {
		return err
	}
	if d.srk.context == nil {
		now, err := d.readPersistent(d.srk.Handle)
		if err != nil {
			return err
		}
		if now.key == nil || !bytes.Equal(now.key.Name, parent) {
			return fault("TPM2_Load", driver.NotFound, errOther)
		}
	}
	return &driver.Error{Op: "TPM2_Load", Class: driver.Authentic, Code: uint64(code), Err: format.ErrDamaged}
}
