package vault

import (
	"context"
	"fmt"
	"sync"

	"strongroom.example/audit"
	"strongroom.example/keystore"
)

const (
	intents = "intent/"
	// abandoned is the error class on record of what a crash cut off.
	abandoned = "ABANDONED"
)

// settle ends what a crash left between intent and outcome: nobody was told of the
// material, so it is destroyed. An intent whose device is absent stays, and does
// not keep the vault from opening; one that fails is asked once, and again later.
func (v *Vault) settle(ctx context.Context) error {
	lanes := map[string][]string{}
	for _, path := range v.store.Paths(intents) {
		in, err := v.intentAt(ctx, path)
		if err != nil {
			return err
		}
		if _, present := v.drivers[in.Driver]; present {
			lanes[in.Driver] = append(lanes[in.Driver], path)
		}
	}
	var wg sync.WaitGroup
	for _, paths := range lanes {
		wg.Go(func() { v.attend(ctx, paths) })
	}
	wg.Wait()
	return ctx.Err()
}

// settleIntent ends one intent: what was to be destroyed is, what was to be made is
// taken back.
func (v *Vault) settleIntent(ctx context.Context, in intent) error {
	if in.Doomed != nil {
		return v.settleDoomed(ctx, in)
	}
	outcome := v.record(in.Operation, in.Principal)
	outcome.Error = abandoned
	return v.abandonIntent(ctx, in, outcome)
}

// abandonIntent destroys the material of an intent and takes back what was stored
// with it; outcome is what is known of its record, with the error class. If the device cannot be asked now, the
// intent stays on the agenda, and for the next open. To that it is left as well where
// the store failed: its last batch may be there, with an outcome that needs the material.
func (v *Vault) abandonIntent(ctx context.Context, in intent, outcome audit.Record) error {
	if err := v.store.Failed(); err != nil {
		return fmt.Errorf("settling %s of key %s: %w", in.Operation, in.Key, err)
	}
	err := Retry(ctx, func(ctx context.Context) error {
		return v.drivers[in.Driver].DestroyKey(ctx, in.Material, nil)
	})
	if err != nil {
		v.postpone(intentPath(in.Material))
		return fmt.Errorf("settling %s of key %s: %w", in.Operation, in.Key, err)
	}
	outcome.Phase, outcome.Result, outcome.Intent = audit.Outcome, audit.Failed, v.seqOf(ctx, in)
	outcome.Key, outcome.KeyVersion, outcome.Driver = in.Key, in.Number, in.Driver
	outcome.OutputSize, outcome.Detail = 0, map[string]string{"material": in.Material.String()}
	return v.settled(ctx, in, func(tx *keystore.Tx) error {
		if err := v.endTry(tx, in, outcome.Error); err != nil {
			return err
		}
		if in.Operation == OpCreateKey {
			if err := dropKey(tx, in.Key); err != nil {
				return err
			}
		}
		v.note(tx, outcome)
		return nil
	})
}

// settled removes an intent, in one batch with op. What was settled already is left
// alone, and what fails is put off.
func (v *Vault) settled(ctx context.Context, in intent, op func(*keystore.Tx) error) error {
	path := intentPath(in.Material)
	err := v.store.Commit(ctx, func(tx *keystore.Tx) error {
		if tx.Version(path) == 0 {
			return nil
		}
		tx.Delete(path)
		return op(tx)
	})
	if err != nil {
		v.postpone(path)
	}
	return err
}

// dropKey removes a CMK that never came to be, with its alias.
func dropKey(tx *keystore.Tx, id string) error {
	k, err := keyIn(tx, id)
	if err != nil {
		return err
	}
	if k.State != Creating {
		return fmt.Errorf("%w: an intent to create key %s, which is %s", ErrCorrupt, id, k.State)
	}
	if k.Alias != "" {
		tx.Delete(aliasPath(k.Alias))
	}
	tx.Delete(keyPath(id))
	return nil
}
