package tpm

import (
	"bytes"
	"context"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

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
	n := keyName{id, spec}
	parts, err := decode(n, b)
	if err != nil {
		return nil, fault(op, driver.Authentic, err)
	}
	area, err := parseArea(parts.public)
	if err != nil {
		return nil, fault(op, driver.Authentic, err)
	}
	if parts.adopted {
		err = k.checkFile(area)
	} else {
		err = k.check(area, n.binding(parts.auth))
	}
	if err != nil {
		return nil, fault(op, driver.Authentic, errDamaged)
	}
	var r *resident
	err = d.queue.do(op, &job{ctx: ctx, lane: ordinary, cost: op, act: func(dev *device) (err error) {
		r, err = dev.open(n, n.hash(labelBlob, b), parts)
		return err
	}})
	if err != nil {
		return nil, err
	}
	return d.key(k, r, area), nil
}

// open returns the resident key of a blob, and loads it if it is not open yet.
func (d *device) open(n keyName, hash [32]byte, parts blob) (*resident, error) {
	if r := d.slots.find(hash); r != nil {
		return r, nil
	}
	if !bytes.Equal(parts.parent, d.srk.name) {
		return nil, fault("TPM2_Load", driver.NotFound, errOther)
	}
	auth, err := d.arena.Alloc(authLength)
	if err != nil {
		return nil, fault("TPM2_Load", driver.Throttled, err)
	}
	value := parts.value(n)
	copy(auth.Bytes(), value)
	suite.Wipe(value)
	r := &resident{id: hash, public: slices.Clone(parts.public), private: slices.Clone(parts.private), auth: auth}
	if _, err := d.use(r); err != nil {
		auth.Free()
		return nil, d.judge(parts.parent, err)
	}
	if parts.adopted {
		if err := d.prove(r); err != nil {
			d.flush(r.handle)
			d.slots.settle(r, 0) // also frees auth
			return nil, err
		}
	}
	d.slots.keep(r)
	return r, nil
}

// judge classifies why the TPM does not load a blob that names this TPM: the TPM was
// cleared since the driver was opened, or the blob is damaged.
func (d *device) judge(parent []byte, err error) error {
	const parameter = 0x40
	code := codeOf(err)
	if base(code) != tpm2.TPMRCIntegrity && (code&0x80 == 0 || code&parameter == 0) {
		return err
	}
	if d.srk.context == nil {
		now, err := d.look(d.srk.handle)
		if err != nil {
			return err
		}
		if now.key == nil || !bytes.Equal(now.key.name, parent) {
			return fault("TPM2_Load", driver.NotFound, errOther)
		}
	}
	return &driver.Error{Op: "TPM2_Load", Class: driver.Authentic, Code: uint64(code), Err: errDamaged}
}
