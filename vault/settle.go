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
	// abandoned is the recorded error class of an operation that a crash interrupted.
	abandoned = "ABANDONED"
)

// settle rolls back the operations that a crash interrupted between intent and outcome: it
// destroys their material, because no caller received a result. An intent whose driver is
// absent stays and does not keep the vault from opening. An intent that fails is tried once
// here and again later.
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

// settleIntent completes one intent: it destroys material that was to be destroyed, or
// rolls back material that was to be made.
func (v *Vault) settleIntent(ctx context.Context, in intent) error {
	if in.Doomed != nil {
		return v.settleDoomed(ctx, in)
	}
	outcome := v.record(in.Operation, in.Principal)
	outcome.Error = abandoned
	return v.abandonIntent(ctx, in, outcome)
}

// abandonIntent destroys the material of an intent and deletes what was stored with it.
// outcome is the begun record, with the error class. If the device fails, the intent stays
// for a background retry and for the next open. If the store has failed, the intent is left
// for the next open, because the store's last batch may be durable and contain an outcome
// that needs the material.
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

// settled deletes an intent, in one batch with op. It does nothing if the intent is settled
// already, and postpones the intent if the commit fails.
func (v *Vault) settled(ctx context.Context, in intent, op func(*keystore.Tx) error) error {
	path := intentPath(in.Material)
	err := v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
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

// dropKey deletes a CMK whose creation failed, with its alias.
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
