package vault

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/keystore"
)

// doom is the part of an intent that describes material to be destroyed.
type doom struct {
	Spec driver.KeySpec `json:"spec"`
	// Object: the material is an object in the device, not a blob.
	Object bool `json:"object,omitempty"`
	// Epoch: the destruction changes the epoch, so that old copies of the store cannot open
	// the material either. Without it they can until the next change of epoch.
	Epoch bool `json:"epoch,omitempty"`
}

// destroy destroys material in the device, where it verifies the destruction, and in the
// store. It can be repeated.
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

// drop removes a material record from the store. If epoch is set, old copies of the store
// cannot open the material afterwards.
func (v *Vault) drop(ctx context.Context, path string, epoch bool) error {
	switch {
	case v.store.Version(path) == 0:
		return v.store.FinishEpoch(ctx)
	case epoch:
		return v.burials.bury(ctx, path)
	}
	return v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error { tx.Delete(path); return nil })
}

// absent verifies that the device no longer has the destroyed material.
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

// settleDoomed completes a destruction and records its outcome.
func (v *Vault) settleDoomed(ctx context.Context, in intent) error {
	if err := v.destroy(ctx, in); err != nil {
		v.postpone(intentPath(in.Material))
		return fmt.Errorf("settling %s of key %s: %w", in.Operation, in.Key, err)
	}
	outcome := v.record(in.Operation, in.Principal)
	outcome.Key, outcome.KeyVersion, outcome.Driver = in.Key, in.Number, in.Driver
	if in.Operation != OpExpireImportToken { // the intent to remove an expired token has no record
		outcome.Phase, outcome.Intent = audit.Outcome, v.seqOf(ctx, in)
	}
	outcome.Detail = map[string]string{"material": in.Material.String()}
	return v.settled(ctx, in, func(tx *keystore.Tx) error {
		v.note(tx, outcome)
		return nil
	})
}
