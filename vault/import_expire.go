package vault

import (
	"context"
	"errors"
	"time"

	"strongroom.example/keystore"
)

// byItself is the recorded principal of the vault's background work.
const byItself Principal = "(vault)"

// expire removes a CMK's expired material and token.
func (v *Vault) expire(ctx context.Context, key string) error {
	if err := errors.Join(v.expireMaterial(ctx, key), v.expireToken(ctx, key)); err != nil {
		return err
	}
	v.schedule(ctx, key)
	return nil
}

// expireMaterial deletes expired imported material in the way of DeleteImportedKeyMaterial.
func (v *Vault) expireMaterial(ctx context.Context, key string) error {
	for range staleTries {
		t, err := v.keys.key(ctx, key)
		if err != nil {
			return err
		}
		if v.expireView(t); !t.expired {
			return nil
		}
		rec := v.record(OpExpireKeyMaterial, byItself)
		rec.Key, rec.KeyVersion, rec.Driver = t.ID, t.Version, t.Driver
		rec.Detail = map[string]string{"validTo": t.ValidTo.Format(time.RFC3339)}
		e := &entry{rec: rec, lenient: true} // no Authorizer was asked
		err = v.deleteMaterial(ctx, t, e)
		if err == nil {
			return v.commit(ctx, nil, e)
		}
		if !errors.Is(err, errStale) {
			return err
		}
	}
	return errStale
}

// expireToken removes the wrapping key of an expired token.
func (v *Vault) expireToken(ctx context.Context, key string) error {
	state, err := v.importOf(ctx, key)
	if err != nil {
		return err
	}
	if is := state.Token; is == nil || is.Gone || v.deadline.Now().Before(is.ValidTo) {
		return nil
	}
	rec := v.record(OpExpireImportToken, byItself)
	rec.Key, rec.Driver = key, state.Token.Driver
	return v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
		now, err := getImport(tx, key)
		if err != nil || now.Token == nil || now.Token.Gone || now.Token.Serial != state.Token.Serial {
			return err
		}
		if err := v.dropToken(tx, key, now.Token); err != nil {
			return err
		}
		tx.Put(importPathOf(key), encode(now))
		v.note(tx, rec)
		return nil
	})
}
