package vault

import (
	"context"

	"strongroom.example/keystore"
)

// RotateKey makes a new version of a CMK, which becomes the primary version and encrypts
// from then on. Older versions remain and decrypt their ciphertexts. RotateKey returns the
// description of the CMK after the rotation. Errors: ErrUsage for a CMK that is not
// EncryptDecrypt, ErrUnsupported for imported material.
func (c Client) RotateKey(ctx context.Context, key string) (Key, error) {
	var rotated Key
	err := c.onKey(ctx, request{op: OpRotateKey, key: key}, func(ctx context.Context, t *target, e *entry) error {
		v := c.vault
		now := v.clock.Now().UTC()
		ver, err := v.newVersion(t.Key, t.Version+1, now)
		if err != nil {
			return err
		}
		e.rec.KeyVersion, e.rec.Algorithm = ver.Number, string(ver.Algorithm)
		finish := func(tx *keystore.Tx) (err error) {
			rotated, err = promote(tx, ver)
			return err
		}
		return v.make(ctx, e, making{t: t, ver: ver, op: OpRotateKey, finish: finish})
	})
	if err != nil {
		return Key{}, err
	}
	return rotated, nil
}

// promote makes ver the primary version of its CMK. Other fields of the CMK may have
// changed while the device worked.
func promote(tx *keystore.Tx, ver version) (Key, error) {
	k, err := keyIn(tx, ver.Key)
	if err != nil {
		return Key{}, err
	}
	if !k.State.allows(OpRotateKey) {
		return Key{}, k.State.refuse(OpRotateKey, k.ID)
	}
	if k.Version != ver.Number-1 {
		return Key{}, errStale // another rotation was first
	}
	k.Version, k.Rotated = ver.Number, ver.Created
	k.settle(ver)
	tx.Put(keyPath(k.ID), encode(k))
	return k, nil
}
