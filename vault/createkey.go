package vault

import (
	"context"
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/keystore"
)

// CreateKey makes a CMK. It also needs the permission to SetAlias if o has an alias, and
// the permission to TagKey if o has tags. Errors: ErrInvalid, ErrTooLarge, ErrExists for an
// alias that is in use, ErrUnsupported, ErrDenied.
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
			if made, err = keyIn(tx, id); err != nil { // read again, because its alias may have been removed
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

// awaitImport makes e store a CMK that has no material yet.
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

// putNewKey stores a new CMK and its alias.
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

// driverFor returns the default driver, or the software engine if the default driver does
// not support or import the spec, or is slow at it. If least is above the engine's level,
// slowness does not matter.
func (v *Vault) driverFor(row specRow, origin Origin, least driver.ProtectionLevel) string {
	patient := least != "" && least != driver.LevelSoftware
	d, spec := v.drivers[v.cfg.Driver], row.device(v.suite)
	if can, ok := d.Info().Find(spec); ok && (patient || !can.Slow) && (origin == OriginVault || importable(d, spec)) {
		return v.cfg.Driver
	}
	return softDriver
}
