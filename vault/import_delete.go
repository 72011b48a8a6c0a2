package vault

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/keystore"
)

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
// If the device fails, the CMK is PendingImport nevertheless, and the vault continues the
// destruction in the background, also after a restart. Errors: ErrUnsupported for a CMK of
// another origin, ErrKeyState, ErrUnavailable, ErrDenied.
func (c Client) DeleteImportedKeyMaterial(ctx context.Context, key string) error {
	return c.onKey(ctx, request{op: OpDeleteImportedKeyMaterial, key: key}, func(ctx context.Context, t *target, e *entry) error {
		return c.vault.deleteMaterial(ctx, t, e)
	})
}

// deleteMaterial runs intent → destruction → outcome; the caller commits the outcome in e.
// The CMK is PendingImport from the intent on.
func (v *Vault) deleteMaterial(ctx context.Context, t *target, e *entry) error {
	var in intent
	announced := e.rec
	announced.Phase, announced.Result = audit.Intent, ""
	err := v.commitIf(ctx, t, e, func(tx *keystore.Tx) error {
		k, err := keyIn(tx, t.ID)
		if err != nil {
			return err
		}
		if in, err = v.forget(tx, k); err != nil {
			return err
		}
		in.Operation, in.Principal = Operation(e.rec.Operation), Principal(e.rec.Principal)
		v.markClock(tx)
		v.announce(tx, &in, announced)
		return nil
	})
	if err != nil {
		return err
	}
	path := intentPath(in.Material)
	if err := v.destroy(ctx, in); err != nil {
		e.settled = true // its outcome is recorded by the retry
		v.postpone(path)
		return err
	}
	e.rec.Phase, e.rec.Intent, e.detached = audit.Outcome, in.Seq, true
	e.change = func(tx *keystore.Tx) error {
		tx.Delete(path)
		return nil
	}
	e.commit = func(ctx context.Context, op func(*keystore.Tx) error) error {
		// The material is destroyed even if ctx has ended since.
		err := v.store.CommitInReserve(context.WithoutCancel(ctx), op)
		if err != nil {
			v.postpone(path)
		}
		return err
	}
	return nil
}

// forget removes the material from a CMK and returns the intent to destroy it.
func (v *Vault) forget(tx *keystore.Tx, k Key) (in intent, err error) {
	path := versionPath(k.ID, k.Version)
	r, err := tx.Get(path)
	if err != nil {
		return in, err
	}
	ver, err := decode[version](path, r.Value)
	if err != nil {
		return in, err
	}
	id, err := ver.material()
	if err != nil {
		return in, err
	}
	blob, err := tx.Get(materialPath(id))
	if err != nil {
		return in, err
	}
	in = intent{Key: k.ID, Number: ver.Number, Driver: ver.Driver, Material: id}
	in.Doomed = &doom{Spec: ver.spec(), Object: len(blob.Value) == 0, Epoch: true}
	k.State, ver.Material = k.State.withoutMaterial(), ""
	k.ValidTo = time.Time{}
	tx.Put(path, encode(ver))
	tx.Put(keyPath(k.ID), encode(k))
	return in, v.endTried(tx, k.ID)
}

// endTried removes the wrapping key of a token with which an import succeeded or was
// attempted.
func (v *Vault) endTried(tx *keystore.Tx, key string) error {
	state, err := getImport(tx, key)
	if err != nil || state.Token == nil || !state.Token.Tried {
		return err
	}
	if err := v.dropToken(tx, key, state.Token); err != nil {
		return err
	}
	tx.Put(importPathOf(key), encode(state))
	return nil
}

// dropToken marks a token as removed and deletes its wrapping key. A key in a device is
// deleted by a background task.
func (v *Vault) dropToken(tx *keystore.Tx, key string, is *issuedToken) error {
	if is == nil || is.Gone {
		return nil
	}
	is.Gone = true
	var id driver.MaterialID
	if n, err := hex.Decode(id[:], []byte(is.Serial)); err != nil || n != len(id) {
		return fmt.Errorf("%w: serial of the import token of key %s", ErrCorrupt, key)
	}
	if is.Path == PathHost {
		tx.Delete(materialPath(id))
		return nil
	}
	blob, err := tx.Get(materialPath(id))
	if err != nil {
		return err
	}
	in := intent{Operation: OpExpireImportToken, Key: key, Driver: is.Driver, Material: id, Principal: byItself}
	in.Doomed = &doom{Spec: is.Spec, Object: len(blob.Value) == 0}
	tx.Put(intentPath(id), encode(in))
	v.agenda.set(intentPath(id), v.deadline.Now().Add(agendaSoon))
	return nil
}
