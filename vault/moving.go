package vault

import (
	"context"
	"fmt"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/keystore"
)

// moving is the request to move one version.
type moving struct {
	number uint32
	to     string
}

// move is the result of moving one version.
type move struct {
	receipt []byte
	old     intent // intent to destroy the material at its old place
}

// move moves a version's material to a driver. It returns nil if the version is there
// already.
func (v *Vault) move(ctx context.Context, t *target, e *entry, g moving) (*move, error) {
	path := versionPath(t.ID, g.number)
	record := v.store.Version(path)
	from, err := v.keys.version(ctx, t.ID, g.number)
	if err != nil || from.Driver == g.to {
		return nil, err
	}
	to, err := v.destination(t.Key, from, g.to)
	if err != nil {
		return nil, err
	}
	oldID, err := from.material()
	if err != nil {
		return nil, err
	}
	m := &move{}
	m.old = intent{Operation: OpMoveKey, Key: t.ID, Number: g.number, Driver: from.Driver, Material: oldID, Principal: Principal(e.rec.Principal)}
	m.old.Doomed = &doom{Spec: from.spec(), Epoch: true}
	e.rec.Algorithm = string(from.Algorithm)
	e.rec.Detail = map[string]string{"from": from.Driver, "to": g.to}

	create := func(ctx context.Context) (driver.Created, error) { return v.transfer(ctx, from, to) }
	keep := func(tx *keystore.Tx, made madeKey) (err error) {
		if tx.Version(path) != record {
			return errStale // it was moved, or deleted and imported again
		}
		if m.receipt, err = v.receipt(from, to); err != nil {
			return err
		}
		e.rec.Detail = map[string]string{"from": from.Driver, "to": g.to, "receipt": string(m.receipt)}
		return keepVersion(tx, to, made)
	}
	finish := func(tx *keystore.Tx) error {
		m.old.Seq = e.rec.Intent
		tx.Put(intentPath(oldID), encode(m.old))
		v.postpone(intentPath(oldID))
		// The wrapping key could decrypt, in the host, the wrapped material that was
		// imported.
		if err := v.endTried(tx, t.ID); err != nil {
			return err
		}
		return relocate(tx, to)
	}
	err = v.make(ctx, e, making{t: t, ver: to, op: OpMoveKey, create: create, keep: keep, finish: finish})
	if err != nil && v.store.Version(path) != record {
		err = errStale // the concurrent change may be the cause
	}
	return m, err
}

// destination describes a version as it will be on another driver.
func (v *Vault) destination(k Key, from version, on string) (version, error) {
	d, ok := v.drivers[on]
	if !ok {
		return version{}, invalid("driver %.80q is not among Config.Drivers", on)
	}
	if from.Residence != Wrapped || from.Driver != softDriver {
		return version{}, fmt.Errorf("%w: version %d is resident in %q; make a key elsewhere and ReEncrypt", ErrNotExportable, from.Number, from.Driver)
	}
	info := d.Info()
	can, _ := info.Find(from.spec())
	if _, able := d.(driver.Importer); !able || !can.Import {
		return version{}, fmt.Errorf("%w: driver %q does not take %s", ErrUnsupported, on, from.spec())
	}
	to := from
	to.Driver, to.Material = on, driver.MaterialID(v.hedge.id()).String()
	if can.Resident {
		to.Residence, to.Level = Resident, info.Level
	}
	return to, v.checkLevel(k.MinLevel, to)
}

// receipt signs a receipt for the move of a version.
func (v *Vault) receipt(from, to version) ([]byte, error) {
	return v.log.key.Load().SignReceipt(audit.Receipt{
		Origin: v.log.origin, Key: to.Key, Version: to.Number,
		From: audit.Place{Driver: from.Driver, Material: from.Material}, To: audit.Place{Driver: to.Driver, Material: to.Material},
		Device: v.drivers[to.Driver].Info().Device.Serial, Time: v.clock.Now(),
	})
}

// relocate updates the CMK with the new place of its primary version.
func relocate(tx *keystore.Tx, ver version) error {
	k, err := keyIn(tx, ver.Key)
	if err != nil {
		return err
	}
	if !k.State.allows(OpMoveKey) {
		return k.State.refuse(OpMoveKey, k.ID)
	}
	if k.Version == ver.Number {
		k.settle(ver)
	}
	tx.Put(keyPath(k.ID), encode(k))
	return nil
}
