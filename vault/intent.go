package vault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/bindingrecords"
	"strongroom.example/vault/internal/deviceid"
	"strongroom.example/vault/internal/devicekey"
	"strongroom.example/vault/internal/intentrecords"
	"strongroom.example/vault/internal/retry"
	"strongroom.example/vault/internal/wrapping"
)

// intent is stored before an operation makes or destroys material.
type intent = intentrecords.Intent

const (
	intents = intentrecords.Folder
	// classAbandoned is the recorded error class of an operation that a crash interrupted.
	classAbandoned = "ABANDONED"
)

// materialPlan describes the material that an operation makes.
type materialPlan struct {
	ver storedVersion
	// token is the serial of the import token that an import uses.
	token string
	// begin, if set, is committed with the intent.
	begin func(*keystore.Tx) error
	// create makes the material; nil means that the driver generates it. It may be called
	// repeatedly.
	create func(context.Context) (driver.Created, error)
	// compared: create only compared the material, and destroyed it again.
	compared bool
	// keep is committed with the outcome. It stores the material.
	keep func(*keystore.Tx, madeKey) error
}

// createMaterial makes material in a driver:
//
//	intent → driver → outcome
//
// The intent is durable before the driver is used. The outcome and what keep stores are one
// batch. If the driver or the outcome fails, createMaterial destroys the material.
func (d *decision) createMaterial(ctx context.Context, m materialPlan) error {
	in, err := d.newIntent(m.ver)
	if err != nil {
		return d.fail(ctx, err)
	}
	in.Token = m.token
	if err := d.commitIntent(ctx, &in, m.begin); err != nil {
		return d.fail(ctx, err)
	}
	made, err := d.makeMaterial(ctx, in, m)
	if err != nil {
		return errors.Join(err, d.destroyMade(ctx, in, err))
	}
	return d.commitOutcome(ctx, in, func(tx *keystore.Tx) error { return m.keep(tx, made) })
}

// newIntent returns the intent to make the material of ver.
func (d *decision) newIntent(ver storedVersion) (intent, error) {
	id, err := ver.material()
	return intent{Operation: string(d.q.op), Key: ver.Key, Number: ver.Number, Driver: ver.Driver, Device: d.client.vault.deviceOf(ver.Driver),
		Material: id, Principal: string(d.client.principal)}, err
}

// deviceOf returns the identity of the device that a driver has now; nil if it has none.
func (v *Vault) deviceOf(name string) *deviceid.Identity {
	d, ok := v.drivers[name]
	if !ok {
		return nil
	}
	return deviceid.Of(d.Info())
}

// commitIntent makes an intent durable, in one batch with begin if that is set. What d
// records afterwards is the outcome.
func (d *decision) commitIntent(ctx context.Context, in *intent, begin func(*keystore.Tx) error) error {
	rec := d.rec
	rec.Phase, rec.Result = audit.Intent, ""
	err := d.commitIf(ctx, commitPlan{check: unchanged}, func(tx *keystore.Tx) error {
		if begin != nil {
			if err := begin(tx); err != nil {
				return err
			}
		}
		d.client.vault.writeIntent(tx, in, rec)
		return nil
	})
	if err == nil {
		d.rec.Phase, d.rec.Intent = audit.Outcome, in.Seq
	}
	return err
}

// writeIntent stores an intent and its record. The record's sequence number is in in.Seq once
// the commit has returned.
func (v *Vault) writeIntent(tx *keystore.Tx, in *intent, r audit.Record) {
	in.Seq, in.From = 0, v.store.LogState().Size // the operation may be repeated
	tx.Put(intentPath(in.Material), encode(*in))
	detail := map[string]string{"material": in.Material.String()}
	maps.Copy(detail, r.Detail)
	r.Detail = detail
	v.appendAuditSeq(tx, r, &in.Seq)
}

// makeMaterial makes the material of an intent in the driver, with retries, and computes its
// check value. If the driver panics and the process continues, the material is destroyed
// later.
func (d *decision) makeMaterial(ctx context.Context, in intent, m materialPlan) (made madeKey, err error) {
	v, returned := d.client.vault, false
	defer func() {
		if !returned {
			v.tasks.Postpone(intentPath(in.Material))
		}
	}()
	create := m.create
	if create == nil {
		create = func(ctx context.Context) (driver.Created, error) {
			return v.drivers[in.Driver].GenerateKey(ctx, in.Material, m.ver.spec())
		}
	}
	err = Retry(ctx, func(ctx context.Context) (err error) {
		if made.Created, err = create(ctx); err != nil || m.compared {
			return err
		}
		made.check, err = v.checkMade(ctx, m.ver, made.Created)
		return err
	})
	made.device = in.Device
	returned = true
	return made, err
}

// commitOutcome commits the outcome of an intent in one batch with keep. If it cannot, it
// destroys the material.
func (d *decision) commitOutcome(ctx context.Context, in intent, keep func(*keystore.Tx) error) error {
	p := commitPlan{check: outcomeAllowed, change: func(tx *keystore.Tx) error {
		tx.Delete(intentPath(in.Material))
		return keep(tx)
	}}
	err := d.decideAgain(ctx, p)
	if err == nil {
		_, err = d.tryCommit(ctx, p)
	}
	if err == nil {
		return nil
	}
	if left := d.destroyMade(ctx, in, err); left != nil {
		return errors.Join(err, left)
	}
	return err
}

// destroyMade destroys the material of an operation that failed with cause, and records the
// outcome. If the driver fails, both are done later.
func (d *decision) destroyMade(ctx context.Context, in intent, cause error) error {
	d.recorded = true
	longer, cancel := retry.Grace(ctx)
	defer cancel()
	var key *wrapping.UnacceptableKey
	in.Uncounted = errors.As(cause, &key)
	failed := d.rec // keeps principal, rule and reason
	failed.Error = errorName(translate(cause))
	err := d.client.vault.rollback(longer, in, failed)
	if err != nil && longer.Err() != nil {
		return fmt.Errorf("%w: driver %q did not destroy the new material in time; the vault tries it again later", ErrUnavailable, in.Driver)
	}
	return err
}

// destroyMaterial destroys the material of the CMK:
//
//	intent → destruction → outcome
//
// The CMK is PendingImport from the intent on.
func (d *decision) destroyMaterial(ctx context.Context) error {
	in, err := d.commitDestruction(ctx)
	if err != nil {
		return d.fail(ctx, err)
	}
	outcome, err := d.runDestruction(ctx, in)
	if err != nil {
		return err // its outcome is recorded by the retry
	}
	return d.commit(ctx, outcome)
}

// commitDestruction removes the material from the CMK, in one batch with the intent to
// destroy it.
func (d *decision) commitDestruction(ctx context.Context) (in intent, err error) {
	v := d.client.vault
	err = d.commitIntent(ctx, &in, func(tx *keystore.Tx) error {
		k, err := keyInTx(tx, d.t.ID)
		if err == nil && d.q.op == OpDeleteImportedKeyMaterial {
			err = bindingrecords.CheckUnbound(tx, k.ID)
		}
		if err != nil {
			return err
		}
		if in, err = v.detachMaterial(tx, k); err != nil {
			return err
		}
		in.Operation, in.Principal = string(d.q.op), string(d.client.principal)
		v.recordClock(tx)
		return nil
	})
	return in, err
}

// detachMaterial removes the material from a CMK and returns the intent to destroy it.
func (v *Vault) detachMaterial(tx *keystore.Tx, k Key) (in intent, err error) {
	ver, err := versionInTx(tx, k.ID, k.Version)
	if err != nil {
		return in, err
	}
	if in, err = ver.destroyIntent(tx); err != nil {
		return in, err
	}
	k.State, ver.Material, ver.Device = k.State.withoutMaterial(), "", nil
	k.ValidTo = time.Time{}
	tx.Put(versionPath(ver.Key, ver.Number), encode(ver))
	tx.Put(keyPath(k.ID), encode(k))
	return in, v.invalidateUsedToken(tx, k.ID)
}

// destroyIntent returns the intent to destroy the material of a version, without an operation.
// It fails with keystore.ErrNotFound if the store has no record of the material.
func (ver storedVersion) destroyIntent(r reader) (in intent, err error) {
	id, err := ver.material()
	if err != nil {
		return in, err
	}
	blob, err := r.Get(materialPath(id))
	if err != nil {
		return in, err
	}
	in = intent{Key: ver.Key, Number: ver.Number, Driver: ver.Driver, Device: ver.Device, Material: id}
	in.Destruction = &intentrecords.Destruction{Spec: ver.spec(), Object: len(blob.Value) == 0, Epoch: true}
	return in, nil
}

// runDestruction destroys material and returns how to commit the outcome. If the device or
// the commit fails, the destruction is repeated later.
func (d *decision) runDestruction(ctx context.Context, in intent) (commitPlan, error) {
	v, path := d.client.vault, intentPath(in.Material)
	if err := v.destroy(ctx, in); err != nil {
		v.tasks.Postpone(path)
		return commitPlan{}, err
	}
	d.t, d.needsNoPermission = nil, true // whether the CMK or the policies have changed does not matter
	return commitPlan{
		change: func(tx *keystore.Tx) error {
			tx.Delete(path)
			return nil
		},
		commit: func(ctx context.Context, op func(*keystore.Tx) error) error {
			// The material is destroyed even if ctx has ended since.
			err := v.store.CommitInReserve(context.WithoutCancel(ctx), op)
			if err != nil {
				v.tasks.Postpone(path)
			}
			return err
		},
	}, nil
}

// destroy destroys material in the device, where it verifies the destruction, and in the
// store. It can be repeated.
func (v *Vault) destroy(ctx context.Context, in intent) error {
	if err := v.handles.Drain(ctx, in.Material); err != nil {
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
	if in.Destruction.Object {
		if err := v.confirmDevice(ctx, &in); err != nil {
			return err
		}
	}
	if err := Retry(ctx, func(ctx context.Context) error { return d.DestroyKey(ctx, in.Material, r.Value) }); err != nil {
		return err
	}
	if in.Destruction.Object {
		if err := devicekey.CheckDestroyed(ctx, d, in.Material, in.Destruction.Spec, in.Driver); err != nil {
			return err
		}
	}
	if err := v.removeMaterial(ctx, path, in.Destruction.Epoch); err != nil {
		return err
	}
	v.handles.Release(in.Material)
	return nil
}

// removeMaterial removes a material record from the store. If epoch is set, old copies of
// the store cannot open the material afterwards.
func (v *Vault) removeMaterial(ctx context.Context, path string, epoch bool) error {
	switch {
	case v.store.Version(path) == 0:
		return v.store.FinishEpoch(ctx)
	case epoch:
		return v.epochs.Delete(ctx, path)
	}
	return v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error { tx.Delete(path); return nil })
}

// recoverIntents rolls back the operations that a crash interrupted between intent and
// outcome: it destroys their material, because no caller received a result. An intent whose
// driver is absent stays and does not keep the vault from opening. An intent that fails is
// tried once here and again later.
func (v *Vault) recoverIntents(ctx context.Context) error {
	var paths []string
	for _, path := range v.store.Paths(intents) {
		in, err := v.intentAt(ctx, path)
		if err != nil {
			return err
		}
		if _, present := v.drivers[in.Driver]; present {
			paths = append(paths, path)
		}
	}
	v.tasks.RunAll(ctx, paths)
	return ctx.Err()
}

// recoverIntent completes one intent: it destroys material that was to be destroyed, or
// rolls back material that was to be made.
func (v *Vault) recoverIntent(ctx context.Context, in intent) error {
	if in.Destruction != nil {
		return v.finishDestruction(ctx, in)
	}
	outcome := v.record(Operation(in.Operation), Principal(in.Principal))
	outcome.Error = classAbandoned
	return v.rollback(ctx, in, outcome)
}

// rollback destroys the material of an intent and deletes what was stored with it.
// outcome is the begun record, with the error class. If the device fails, the intent stays
// for a background retry and for the next open. If the store has failed, the intent is left
// for the next open, because the store's last batch may be durable and contain an outcome
// that needs the material.
func (v *Vault) rollback(ctx context.Context, in intent, outcome audit.Record) error {
	if err := v.store.Failed(); err != nil {
		return fmt.Errorf("completing %s of key %s: %w", in.Operation, in.Key, err)
	}
	err := v.confirmDevice(ctx, &in)
	if err == nil {
		err = Retry(ctx, func(ctx context.Context) error {
			return v.drivers[in.Driver].DestroyKey(ctx, in.Material, nil)
		})
	}
	if err != nil {
		v.tasks.Postpone(intentPath(in.Material))
		return fmt.Errorf("completing %s of key %s: %w", in.Operation, in.Key, err)
	}
	outcome.Phase, outcome.Result, outcome.Intent = audit.Outcome, audit.Failed, in.RecordSeq(ctx, v.store)
	outcome.Key, outcome.KeyVersion, outcome.Driver = in.Key, in.Number, in.Driver
	outcome.OutputSize, outcome.Detail = 0, map[string]string{"material": in.Material.String()}
	return v.finishIntent(ctx, in, func(tx *keystore.Tx) error {
		if err := v.recordAttempt(tx, in, outcome.Error); err != nil {
			return err
		}
		if in.Operation == string(OpCreateKey) {
			if err := removeNewKey(tx, in.Key); err != nil {
				return err
			}
		}
		v.appendAudit(tx, outcome)
		return nil
	})
}

// finishDestruction completes a destruction and records its outcome.
func (v *Vault) finishDestruction(ctx context.Context, in intent) error {
	if err := v.destroy(ctx, in); err != nil {
		v.tasks.Postpone(intentPath(in.Material))
		return fmt.Errorf("completing %s of key %s: %w", in.Operation, in.Key, err)
	}
	outcome := v.record(Operation(in.Operation), Principal(in.Principal))
	outcome.Key, outcome.KeyVersion, outcome.Driver = in.Key, in.Number, in.Driver
	if in.Operation != string(OpExpireImportToken) { // the intent to remove an expired token has no record
		outcome.Phase, outcome.Intent = audit.Outcome, in.RecordSeq(ctx, v.store)
	}
	outcome.Detail = map[string]string{"material": in.Material.String()}
	return v.finishIntent(ctx, in, func(tx *keystore.Tx) error {
		v.appendAudit(tx, outcome)
		return nil
	})
}

// finishIntent deletes an intent, in one batch with op. It does nothing if the intent is
// finished already, and postpones the intent if the commit fails.
func (v *Vault) finishIntent(ctx context.Context, in intent, op func(*keystore.Tx) error) error {
	path := intentPath(in.Material)
	err := v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
		if tx.Version(path) == 0 {
			return nil
		}
		tx.Delete(path)
		return op(tx)
	})
	if err != nil {
		v.tasks.Postpone(path)
	}
	return err
}
