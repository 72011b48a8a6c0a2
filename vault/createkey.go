package vault

import (
	"context"
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/keystore"
)

// CreateKey makes a CMK. With an alias it takes the permission to SetAlias as well, with
// tags that to TagKey. Errors: ErrInvalid, ErrTooLarge, ErrExists for a taken alias,
// ErrUnsupported, ErrDenied.
func (c Client) CreateKey(ctx context.Context, o KeyOptions) (Key, error) {
	o, err := c.newKeyOptions(o)
	if err != nil {
		return Key{}, c.reject(ctx, request{op: OpCreateKey}, err)
	}
	var made Key
	err = c.onVault(ctx, request{op: OpCreateKey, alias: o.Alias, tags: o.Tags, driver: o.Driver}, func(ctx context.Context, e *entry) error {
		v := c.vault
		if v.drivers[o.Driver] == nil {
			return invalid("driver %.80q is not among Config.Drivers", o.Driver)
		}
		now := v.clock.Now().UTC()
		id := newKeyID(v.hedge.id())
		k := Key{
			ID: id, Alias: o.Alias, Description: o.Description, Tags: o.Tags, State: Creating, Usage: o.Usage, Spec: o.Spec,
			Origin: o.Origin, Created: now, Creator: c.principal, Version: 1, Rotated: now, Driver: o.Driver, MinLevel: o.MinLevel,
		}
		ver, err := v.newVersion(k, 1, now)
		if err != nil {
			return err
		}
		k.settle(ver)
		if o.Origin == OriginExternal {
			made = v.awaitImport(e, k)
			return nil
		}
		e.rec.Key, e.rec.KeyVersion, e.rec.Driver, e.rec.Algorithm = id, 1, o.Driver, string(ver.Algorithm)
		begin := func(tx *keystore.Tx) error { return putNewKey(tx, k) }
		finish := func(tx *keystore.Tx) (err error) {
			if made, err = keyIn(tx, id); err != nil { // its alias may be gone
				return err
			}
			made.State = Enabled
			tx.Put(keyPath(id), encode(made))
			return nil
		}
		return v.make(ctx, e, making{ver: ver, op: OpCreateKey, begin: begin, finish: finish})
	})
	if err != nil {
		return Key{}, err
	}
	return made, nil
}

// awaitImport has e store a CMK whose material is still to come.
func (v *Vault) awaitImport(e *entry, k Key) Key {
	k.State, k.Version = PendingImport, 0
	e.rec.Key, e.rec.Driver = k.ID, k.Driver
	e.rec.Detail = map[string]string{"origin": string(k.Origin)}
	if k.Alias != "" {
		e.rec.Detail["alias"] = k.Alias
	}
	e.change = func(tx *keystore.Tx) error {
		tx.Put(importPathOf(k.ID), encode(importState{}))
		return putNewKey(tx, k)
	}
	return k
}

// putNewKey stores a new CMK and takes its alias.
func putNewKey(tx *keystore.Tx, k Key) error {
	if k.Alias != "" {
		if tx.Version(aliasPath(k.Alias)) != 0 {
			return fmt.Errorf("%w: alias %q", ErrExists, k.Alias)
		}
		tx.Put(aliasPath(k.Alias), []byte(k.ID))
	}
	tx.Put(keyPath(k.ID), encode(k))
	return nil
}

// newKeyOptions checks options and fills in defaults.
func (c Client) newKeyOptions(o KeyOptions) (KeyOptions, error) {
	if err := c.known(); err != nil {
		return o, err
	}
	row, err := chooseSpec(o.Spec, o.Usage, c.vault.cfg.Edition)
	if err != nil {
		return o, err
	}
	o.Spec, o.Usage = row.spec, row.usage
	if o.Origin == "" {
		o.Origin = OriginVault
	}
	if o.Origin != OriginVault && o.Origin != OriginExternal {
		return o, invalid("origin %.80q is neither %s nor %s", o.Origin, OriginVault, OriginExternal)
	}
	if err := checkLevelName("KeyOptions.MinLevel", o.MinLevel); err != nil {
		return o, err
	}
	if o.Driver == "" {
		least, _ := c.vault.minLevel(o.MinLevel)
		o.Driver = c.vault.driverFor(row, o.Origin, least)
	}
	if o.Alias != "" {
		if err := checkAlias(o.Alias); err != nil {
			return o, err
		}
	}
	if len(o.Tags) == 0 {
		return o, checkText(o.Description, nil)
	}
	if o.Tags, err = ownTags(o.Tags); err != nil {
		return o, err
	}
	return o, checkText(o.Description, o.Tags)
}

// driverFor returns the default driver, or the software engine where that cannot
// do the spec, not import it, or is slow at it. A least level above the engine's makes
// being slow no reason.
func (v *Vault) driverFor(row specRow, origin Origin, least driver.ProtectionLevel) string {
	patient := least != "" && least != driver.LevelSoftware
	d, spec := v.drivers[v.cfg.Driver], row.device(v.suite)
	if can, ok := d.Info().Find(spec); ok && (patient || !can.Slow) && (origin == OriginVault || importable(d, spec)) {
		return v.cfg.Driver
	}
	return softDriver
}
