package vault

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/suite"
	"strongroom.example/internal/unwrap"
)

// transfer imports the material of from into the driver of to, and checks that it is the
// same there.
func (v *Vault) transfer(ctx context.Context, from, to version) (created driver.Created, err error) {
	oldID, err := from.material()
	if err != nil {
		return created, err
	}
	newID, err := to.material()
	if err != nil {
		return created, err
	}
	blob, err := v.store.Get(ctx, materialPath(oldID))
	if err != nil {
		return created, err
	}
	buf, err := v.arena.Alloc(unwrap.MaxMaterial)
	if err != nil {
		return created, err
	}
	defer buf.Free()
	engine := v.drivers[softDriver].(*soft.Driver)
	material, err := engine.ExportMaterial(ctx, soft.Material{ID: oldID, Spec: from.spec(), Blob: blob.Value}, buf.Bytes()[:0])
	if err != nil {
		return created, err
	}
	created, err = v.drivers[to.Driver].(driver.Importer).ImportKey(ctx, newID, to.spec(), material)
	if err != nil {
		return created, err
	}
	return created, v.compare(ctx, from, to, created)
}

// compare checks that the key that a driver made of the material computes the same as the
// original.
func (v *Vault) compare(ctx context.Context, from, to version, created driver.Created) error {
	same := bytes.Equal(created.PublicDER, from.Public)
	if from.DeviceUse == driver.Derive {
		var err error
		if same, err = v.samePRF(ctx, from, to, created); err != nil {
			return err
		}
	}
	if !same {
		return fmt.Errorf("%w: driver %q made another key of the material", ErrUnavailable, to.Driver)
	}
	return nil
}

// samePRF compares two PRFs on a random input.
func (v *Vault) samePRF(ctx context.Context, from, to version, created driver.Created) (bool, error) {
	var probe, here, there [suite.HashSize]byte
	rand.Read(probe[:])
	defer suite.Wipe(here[:])
	defer suite.Wipe(there[:])
	mine, err := v.prf(ctx, from, here[:0], probe[:])
	if err != nil {
		return false, err
	}
	id, err := to.material()
	if err != nil {
		return false, err
	}
	key, err := opened(v.drivers[to.Driver].OpenKey(ctx, id, to.spec(), created.Blob))
	if err != nil {
		return false, err
	}
	defer key.Close()
	prf, ok := key.(driver.PRF)
	if !ok {
		return false, nil
	}
	its, err := derive(ctx, prf, there[:0], probe[:])
	return hmac.Equal(mine, its), err
}
