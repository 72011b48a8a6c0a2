package vault

import (
	"maps"

	"strongroom.example/keystore"
)

// keep stores the material and enables the CMK, unless the CMK changed while the driver
// worked, or the material is not that of the CMK.
func (im *importing) keep(tx *keystore.Tx, made madeKey) error {
	k, err := im.current(tx)
	if err != nil {
		return err
	}
	state, err := getImport(tx, k.ID)
	if err != nil {
		return err
	}
	if state.Token == nil || state.Token.Serial != im.issued.Serial {
		return errStale
	}
	if err := im.v.claim(tx, k, &state, im.marks); err != nil {
		return err
	}
	state.Token.Running--
	state.Token.Used = true
	if state.Token.SingleUse {
		if err := im.v.dropToken(tx, k.ID, state.Token); err != nil {
			return err
		}
	}
	if !im.again {
		if err := im.keepMaterial(tx, &k, made); err != nil {
			return err
		}
	}
	k.State, k.Version, k.ValidTo = Enabled, 1, im.material.ValidTo
	tx.Put(importPathOf(k.ID), encode(state))
	tx.Put(keyPath(k.ID), encode(k))
	im.v.markClock(tx)
	im.key = k
	return nil
}

// keepMaterial makes the material version 1 of the CMK.
func (im *importing) keepMaterial(tx *keystore.Tx, k *Key, made madeKey) error {
	attributes := map[string]string{"import-path": string(im.issued.Path)}
	maps.Copy(attributes, made.Attributes)
	made.Attributes = attributes
	if k.Version == 0 {
		k.Rotated = im.ver.Created
	}
	k.settle(im.ver)
	return keepVersion(tx, im.ver, made)
}

// current returns the CMK as it is now, or errStale if it gained or lost its material.
func (im *importing) current(tx *keystore.Tx) (k Key, err error) {
	if k, err = keyIn(tx, im.t.ID); err != nil {
		return k, err
	}
	if !k.State.allows(OpImportKeyMaterial) {
		return k, k.State.refuse(OpImportKeyMaterial, k.ID)
	}
	if now := (target{Key: k}); !k.ValidTo.Equal(im.t.ValidTo) && now.shortens(im.material.ValidTo) {
		return k, errStale // another import set a later ValidTo, which this caller may not be allowed to shorten
	}
	if has, err := hasMaterial(tx, k); err != nil || has != im.again {
		return k, orElse(err, errStale)
	}
	return k, nil
}

// hasMaterial reports whether an imported CMK has its material.
func hasMaterial(tx *keystore.Tx, k Key) (bool, error) {
	if k.Version == 0 {
		return false, nil
	}
	path := versionPath(k.ID, k.Version)
	r, err := tx.Get(path)
	if err != nil {
		return false, err
	}
	ver, err := decode[version](path, r.Value)
	return ver.Material != "", err
}
