package vault

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/keystore"
)

// doom is what an intent to destroy knows of the material.
type doom struct {
	Spec driver.KeySpec `json:"spec"`
	// Object: the material is an object in the device, and not a blob.
	Object bool `json:"object,omitempty"`
	// Epoch: no old copy of the store may open the material either, so that it takes
	// a change of epoch. Without it the material dies with the next one.
	Epoch bool `json:"epoch,omitempty"`
}

// destroy ends doomed material: in the device, where it is looked for again, and in
// the store. It is repeatable.
func (v *Vault) destroy(ctx context.Context, in intent) error {
	if err := v.handles.retire(ctx, in.Material); err != nil {
		return err
	}
	d, err := v.driver(in.Driver)
	if err != nil {
		return err
	}
	path := materialPath(in.Material)
	r, err := v.store.Get(ctx, path)
	if err != nil && !errors.Is(err, keystore.ErrNotFound) {
		return err
	}
	if err := Retry(ctx, func(ctx context.Context) error { return d.DestroyKey(ctx, in.Material, r.Value) }); err != nil {
		return err
	}
	if in.Doomed.Object {
		if err := absent(ctx, d, in); err != nil {
			return err
		}
	}
	if err := v.drop(ctx, path, in.Doomed.Epoch); err != nil {
		return err
	}
	v.handles.forget(in.Material)
	return nil
}

// drop removes a record of material from the store, so that no old copy of it opens
// the material either if epoch is set.
func (v *Vault) drop(ctx context.Context, path string, epoch bool) error {
	switch {
	case v.store.Version(path) == 0:
		return v.store.FinishEpoch(ctx)
	case epoch:
		return v.burials.bury(ctx, path)
	}
	return v.store.Commit(ctx, func(tx *keystore.Tx) error { tx.Delete(path); return nil })
}

// absent looks for destroyed material in the device.
func absent(ctx context.Context, d driver.Driver, in intent) error {
	key, err := opened(d.OpenKey(ctx, in.Material, in.Doomed.Spec, nil))
	if err == nil {
		key.Close()
		return fmt.Errorf("%w: driver %q still has material that it was told to destroy", ErrUnavailable, in.Driver)
	}
	if errors.Is(err, driver.NotFound) {
		return nil
	}
	return err
}

// settleDoomed ends a destruction that was begun, and records that it is done.
func (v *Vault) settleDoomed(ctx context.Context, in intent) error {
	if err := v.destroy(ctx, in); err != nil {
		v.postpone(intentPath(in.Material))
		return fmt.Errorf("settling %s of key %s: %w", in.Operation, in.Key, err)
	}
	outcome := v.record(in.Operation, in.Principal)
	outcome.Key, outcome.KeyVersion, outcome.Driver = in.Key, in.Number, in.Driver
	if in.Operation != OpExpireImportToken { // whose intent has no record
		outcome.Phase, outcome.Intent = audit.Outcome, v.seqOf(ctx, in)
	}
	outcome.Detail = map[string]string{"material": in.Material.String()}
	return v.settled(ctx, in, func(tx *keystore.Tx) error {
		v.note(tx, outcome)
		return nil
	})
}
