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

// DeleteImportedKeyMaterial destroys the material of a CMK of OriginExternal, which
// is PendingImport from then on: nothing is encrypted or decrypted until the same
// material is imported again, and that enables the CMK whatever it was before.
//
// Once it returned nil, the material is gone from the device, and neither the
// present files nor an old copy of the engine's directory beside the present root
// file give it back; a copy of everything, with a protector of its time, does. An
// import token that was tried ends as well, since its wrapping key would open what
// was sent.
//
// If the device fails the CMK is PendingImport all the same; the vault goes on with
// the destruction by itself, also after a restart. Errors: ErrUnsupported for a CMK
// of another origin, ErrKeyState, ErrUnavailable, ErrDenied.
func (c Client) DeleteImportedKeyMaterial(ctx context.Context, key string) error {
	return c.onKey(ctx, request{op: OpDeleteImportedKeyMaterial, key: key}, func(ctx context.Context, t *target, e *entry) error {
		return c.vault.deleteMaterial(ctx, t, e)
	})
}

// deleteMaterial runs intent → destruction → outcome, which e commits. From the
// intent on the CMK is PendingImport.
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
		e.settled = true // its outcome is recorded when it has one
		v.postpone(path)
		return err
	}
	e.rec.Phase, e.rec.Intent, e.detached = audit.Outcome, in.Seq, true
	e.change = func(tx *keystore.Tx) error {
		tx.Delete(path)
		return nil
	}
	e.commit = func(ctx context.Context, op func(*keystore.Tx) error) error {
		// The material is gone, whether the caller still waits or not.
		err := v.store.Commit(context.WithoutCancel(ctx), op)
		if err != nil {
			v.postpone(path)
		}
		return err
	}
	return nil
}

// forget takes the material from a CMK and returns the intent to destroy it.
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

// endTried drops the wrapping key of a token that brought material, or tried to.
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

// dropToken removes a token's wrapping key and marks the token. A key in a device is
// put on the agenda.
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
