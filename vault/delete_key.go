package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/clock"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/bindingrecords"
	"strongroom.example/vault/internal/intentrecords"
	"strongroom.example/vault/internal/record"
)

// The limits of the waiting period before the destruction of a CMK, in days.
const (
	MinDeletionDays = 7
	MaxDeletionDays = 30
)

const day = 24 * time.Hour

// deletions begins the paths of the records of scheduled deletions. Open schedules the
// deletions by them, and need not read every CMK.
const deletions = "deletion/"

func deletionPath(id string) string { return deletions + id }

// deletion is stored while a CMK is PendingDeletion.
type deletion struct {
	// Begun: material may be destroyed already, so that the deletion cannot be cancelled.
	Begun bool `json:"begun,omitempty"`
	// From is the size of the log before the record that the destruction begins.
	From uint64 `json:"from,omitempty"`
}

// ScheduleKeyDeletion schedules the destruction of a CMK after MinDeletionDays to
// MaxDeletionDays days, and returns the CMK with its DeletionDate. The CMK must be Disabled
// or PendingImport. It is PendingDeletion from then on and cannot be used, and
// CancelKeyDeletion cancels the deletion until the DeletionDate.
//
// After that date the vault itself destroys the material of every version, in the device
// and in the store, in the way of DeleteImportedKeyMaterial. It continues in the
// background and after a restart until all of it is destroyed: only then is the CMK
// Destroyed, with the operation DestroyKey on record, and its aliases free. If a driver has
// another device than the one in which material was made, the vault records WRONG_DEVICE
// and waits until it is opened with the former device. The description and the versions
// remain readable; its named data keys are removed before that. Data that the CMK encrypted
// cannot be decrypted any more; a backup of the vault that was made before contains the material
// until that backup is removed.
//
// Errors: ErrInvalid for another number of days; ErrKeyState; ErrKeyBound; ErrDenied.
func (c Client) ScheduleKeyDeletion(ctx context.Context, key string, days int) (Key, error) {
	q := request{op: OpScheduleKeyDeletion, key: key, number: int64(days)}
	if days < MinDeletionDays || days > MaxDeletionDays {
		return Key{}, c.argumentError(ctx, q, invalid("a key is destroyed after %d to %d days, not %d", MinDeletionDays, MaxDeletionDays, days))
	}
	var out Key
	err := c.changeKey(ctx, q, func(tx *keystore.Tx, k *Key) (map[string]string, error) {
		if err := bindingrecords.CheckUnbound(tx, k.ID); err != nil {
			return nil, err
		}
		from := k.State
		k.State = PendingDeletion
		// Now is not before confirmedNow, so that a time in doubt makes the waiting period longer.
		k.DeletionDate = clock.Within(c.vault.deadline.Now().Add(time.Duration(days) * day))
		tx.Put(deletionPath(k.ID), encode(deletion{}))
		c.vault.recordClock(tx)
		out = k.clone()
		return map[string]string{"from": string(from), "date": k.DeletionDate.Format(time.RFC3339)}, nil
	})
	if err != nil {
		return Key{}, err
	}
	c.vault.tasks.Schedule(deletionPath(out.ID), out.DeletionDate)
	return out, nil
}

// CancelKeyDeletion cancels the scheduled destruction of a CMK, which then is Disabled, or
// PendingImport if it has no material. Errors: ErrKeyState, also after the DeletionDate
// unless the time of day is in doubt (see ConfirmTime); ErrDenied.
func (c Client) CancelKeyDeletion(ctx context.Context, key string) error {
	return c.changeKey(ctx, request{op: OpCancelKeyDeletion, key: key}, func(tx *keystore.Tx, k *Key) (map[string]string, error) {
		_, del, err := deletionInTx(tx, k.ID)
		if err != nil {
			return nil, err
		}
		if del.Begun || !c.vault.confirmedNow().Before(k.DeletionDate) {
			return nil, &Error{Op: OpCancelKeyDeletion, Key: k.ID, State: k.State,
				Err: fmt.Errorf("%w; its destruction was due on %s", ErrKeyState, k.DeletionDate.Format(time.RFC3339))}
		}
		there, err := hasMaterial(tx, *k)
		if err != nil {
			return nil, err
		}
		k.State, k.DeletionDate = Disabled, time.Time{}
		if !there {
			k.State = PendingImport
		}
		tx.Delete(deletionPath(k.ID))
		return map[string]string{"to": string(k.State)}, nil
	})
}

// ArchiveKey archives a CMK: it still decrypts and verifies, but encrypts and signs nothing
// more. Errors: ErrKeyState unless it is Enabled or Disabled; ErrKeyBound; ErrDenied.
func (c Client) ArchiveKey(ctx context.Context, key string) error {
	return c.setState(ctx, OpArchiveKey, Archived, key)
}

// CancelKeyArchive ends the archiving of a CMK, which then is Enabled. Errors: ErrKeyState
// unless it is Archived; ErrDenied.
func (c Client) CancelKeyArchive(ctx context.Context, key string) error {
	return c.setState(ctx, OpCancelKeyArchive, Enabled, key)
}

func (c Client) setState(ctx context.Context, op Operation, to KeyState, key string) error {
	return c.changeKey(ctx, request{op: op, key: key}, setStateTo(to))
}

// scheduleDeletions schedules the deletions that are stored.
func (v *Vault) scheduleDeletions(ctx context.Context) {
	for _, path := range v.store.Paths(deletions) {
		t, err := v.records.key(ctx, strings.TrimPrefix(path, deletions))
		if err != nil {
			v.tasks.Postpone(path)
			continue
		}
		v.tasks.Schedule(path, t.DeletionDate)
	}
}

// destroyKey is the background task of a CMK that is PendingDeletion. After the
// DeletionDate it destroys the CMK's material:
//
//	begun → destruction of each version → removal of the named data keys → Destroyed
//
// It can be interrupted after each step, and repeated.
func (v *Vault) destroyKey(ctx context.Context, id string) error {
	t, err := v.records.key(ctx, id)
	if err != nil {
		return err
	}
	if t.State != PendingDeletion {
		return nil // the deletion was cancelled
	}
	del, err := v.deletionAt(ctx, id)
	if err != nil {
		return err
	}
	if !del.Begun && v.confirmedNow().Before(t.DeletionDate) {
		// It was cancelled and scheduled again, or the vault's time was set back.
		v.tasks.Schedule(deletionPath(id), t.DeletionDate)
		return nil
	}
	if err := v.beginDestruction(ctx, id); err != nil {
		return err
	}
	if err := v.destroyVersions(ctx, t.Key); err != nil {
		return err
	}
	if err := v.noIntents(ctx, id); err != nil {
		return err
	}
	if err := v.removeDataKeysOf(ctx, id); err != nil {
		return err
	}
	return v.endDestruction(ctx, id)
}

// beginDestruction records that the destruction of a CMK begins, and invalidates its import
// token. It does nothing if the destruction has begun before.
func (v *Vault) beginDestruction(ctx context.Context, id string) error {
	return v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
		k, del, err := deletionInTx(tx, id)
		if err != nil || del.Begun {
			return err
		}
		if k.State != PendingDeletion || v.confirmedNow().Before(k.DeletionDate) {
			return errConflict
		}
		if k.Origin == OriginExternal {
			state, err := getImport(tx, id)
			if err != nil {
				return err
			}
			if err := v.revokeToken(tx, id, state.Newest); err != nil {
				return err
			}
			tx.Put(importPathOf(id), encode(state))
		}
		del = deletion{Begun: true, From: v.store.LogState().Size}
		tx.Put(deletionPath(id), encode(del))
		v.recordClock(tx)
		rec := v.destroyRecord(k)
		rec.Phase, rec.Result = audit.Intent, ""
		v.appendAudit(tx, rec)
		return nil
	})
}

// deletionAt reads the scheduled deletion of a CMK.
func (v *Vault) deletionAt(ctx context.Context, id string) (deletion, error) {
	return record.Read[deletion](storeReader{v.store, ctx}, deletionPath(id))
}

// deletionInTx reads a CMK and its scheduled deletion in a commit. A CMK whose deletion has
// ended gets errConflict.
func deletionInTx(tx *keystore.Tx, id string) (Key, deletion, error) {
	del, err := record.Read[deletion](tx, deletionPath(id))
	if errors.Is(err, keystore.ErrNotFound) {
		return Key{}, deletion{}, errConflict
	}
	if err != nil {
		return Key{}, deletion{}, err
	}
	k, err := keyInTx(tx, id)
	return k, del, err
}

// destroyRecord returns the record of the destruction of a CMK.
func (v *Vault) destroyRecord(k Key) audit.Record {
	rec := v.record(OpDestroyKey, principalVault)
	rec.Key, rec.KeyVersion, rec.Driver = k.ID, k.Version, k.Driver
	rec.Detail = map[string]string{"date": k.DeletionDate.Format(time.RFC3339)}
	return rec
}

// destroyedAtOnce is how many versions of a CMK are destroyed concurrently. They share one
// change of epoch.
const destroyedAtOnce = 16

// destroyVersions destroys the material of every version of a CMK.
func (v *Vault) destroyVersions(ctx context.Context, k Key) error {
	var wg sync.WaitGroup
	errs := make([]error, k.Version)
	slots := make(chan struct{}, destroyedAtOnce)
	for n := range k.Version {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[n] = v.destroyVersion(ctx, k.ID, n+1)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// destroyVersion destroys the material of one version. It can be repeated.
func (v *Vault) destroyVersion(ctx context.Context, id string, n uint32) error {
	ver, err := v.records.version(ctx, id, n)
	if err != nil || ver.Material == "" {
		return err // deleted or expired before
	}
	in, err := ver.destroyIntent(storeReader{v.store, ctx})
	if errors.Is(err, keystore.ErrNotFound) {
		return v.store.FinishEpoch(ctx) // destroyed before
	}
	if err != nil {
		return err
	}
	return v.destroy(ctx, in)
}

// noIntents returns ErrUnavailable or ErrWrongDevice while an earlier operation on the CMK
// still has material to destroy, for example because its device is absent.
func (v *Vault) noIntents(ctx context.Context, id string) error {
	for _, path := range v.store.Paths(intents) {
		in, err := v.intentAt(ctx, path)
		if errors.Is(err, keystore.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if in.Key == id {
			if err := in.Device.Check(v.deviceOf(in.Driver), in.Key, in.Driver); err != nil {
				return err
			}
			return fmt.Errorf("%w: driver %q has material of key %s that is not destroyed yet", ErrUnavailable, in.Driver, id)
		}
	}
	return nil
}

// endDestruction makes a CMK Destroyed, with the record of the outcome. All its material has
// been destroyed.
func (v *Vault) endDestruction(ctx context.Context, id string) error {
	del, err := v.deletionAt(ctx, id)
	if err != nil {
		return err
	}
	begun := intentrecords.Find(ctx, v.store, del.From, func(r audit.Record) bool {
		return r.Phase == audit.Intent && r.Operation == string(OpDestroyKey) && r.Key == id
	})
	return v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
		k, _, err := deletionInTx(tx, id)
		if err != nil {
			return err
		}
		rec := v.destroyRecord(k)
		rec.Phase, rec.Intent = audit.Outcome, begun
		if k.Alias != "" {
			rec.Detail["alias"] = strings.Join(k.Aliases(), ", ")
		}
		if err := setAliases(tx, &k, nil); err != nil {
			return err
		}
		k.State, k.ValidTo, k.Destroyed = Destroyed, time.Time{}, v.confirmedNow()
		k.Rotation, k.NextRotation = Rotation{}, time.Time{}
		tx.Delete(rotationPath(id))
		tx.Put(keyPath(id), encode(k))
		tx.Delete(deletionPath(id))
		v.appendAudit(tx, rec)
		return nil
	})
}

// DeleteImportedKeyMaterial destroys the material of a CMK of OriginExternal, which then is
// PendingImport: it cannot encrypt or decrypt until the same material is imported again.
// That import enables the CMK, whatever its state was before.
//
// When the method returns nil, the material is gone from the device. It cannot be recovered
// from the present files, nor from an old copy of the engine's directory together with the
// present root file. It can be recovered from a copy of all files together with a protector
// of that time. An import token with which an import was attempted is invalidated too,
// because its wrapping key could decrypt the wrapped material.
//
// If the device fails, or is not the one that has the material, the CMK is PendingImport
// nevertheless, and the vault continues the destruction in the background, also after a
// restart. Errors: ErrUnsupported for a CMK of another origin, ErrKeyState, ErrUnavailable,
// ErrWrongDevice, ErrDenied.
func (c Client) DeleteImportedKeyMaterial(ctx context.Context, key string) error {
	return c.do(ctx, request{op: OpDeleteImportedKeyMaterial, key: key}, func(ctx context.Context, d *decision) error {
		return d.destroyMaterial(ctx)
	})
}

// expireMaterial deletes imported material that has expired by the confirmed time, in the way
// of DeleteImportedKeyMaterial.
func (v *Vault) expireMaterial(ctx context.Context, key string) error {
	for range maxAttempts {
		t, err := v.records.key(ctx, key)
		if err != nil {
			return err
		}
		if v.applyExpiry(t); !t.due(v.confirmedNow()) {
			return nil
		}
		err = v.destroyExpired(ctx, t)
		if !errors.Is(err, errConflict) {
			return err
		}
	}
	return errConflict
}

// destroyExpired destroys the expired material of a CMK. No Authorizer is asked.
func (v *Vault) destroyExpired(ctx context.Context, t *target) error {
	d := v.ownDecision(request{op: OpExpireKeyMaterial, key: t.ID}, t)
	d.rec.Key, d.rec.KeyVersion, d.rec.Driver = t.ID, t.Version, t.Driver
	d.rec.Detail = map[string]string{"validTo": t.ValidTo.Format(time.RFC3339)}
	in, err := d.commitDestruction(ctx)
	if err != nil {
		return err
	}
	outcome, err := d.runDestruction(ctx, in)
	if err != nil {
		return err
	}
	_, err = d.tryCommit(ctx, outcome)
	return err
}
