package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/suite"
	"strongroom.example/internal/unwrap"
	"strongroom.example/keystore"
)

// MoveKey moves the wrapped material of a CMK, all versions of it, to another of
// the vault's drivers. No ciphertext changes. In a device that keeps its keys the
// material is resident from then on and cannot be moved again; its provenance still
// tells that it was outside. The old material is destroyed, as by
// DeleteImportedKeyMaterial, also after a move that stopped half-way.
//
// It returns a receipt for each version that was moved, the oldest first, signed by
// the log key (audit.OpenReceipt reads it), which its audit record holds as well. A
// move that was interrupted goes on where it was when MoveKey is called again.
//
// Errors: ErrNotExportable for resident material, ErrUnsupported where the driver
// does not take it, ErrInvalid for a driver that is not there, ErrKeyState,
// ErrUnavailable, ErrDenied.
func (c Client) MoveKey(ctx context.Context, key, to string) ([][]byte, error) {
	moves, err := c.moveVersions(ctx, key, to)
	left := c.vault.leaveBehind(ctx, moves)
	var receipts [][]byte
	for _, m := range moves {
		receipts = append(receipts, m.receipt)
	}
	return receipts, orElse(err, wrap(OpMoveKey, key, left))
}

// moveVersions moves one version after the other, and returns what it came to.
func (c Client) moveVersions(ctx context.Context, key, to string) (moves []*move, err error) {
	for n, last := uint32(1), uint32(1); n <= last; n++ {
		var m *move
		err := c.onKey(ctx, request{op: OpMoveKey, key: key, version: n}, func(ctx context.Context, t *target, e *entry) (err error) {
			last = t.Version
			m, err = c.vault.move(ctx, t, e, moving{number: n, to: to})
			return err
		})
		if err != nil {
			return moves, err
		}
		if m != nil { // else it is there already
			moves = append(moves, m)
		}
	}
	return moves, nil
}

// leaveBehind destroys what was moved, side by side, so that it shares a change of
// epoch. It does so also after a move that stopped half-way, and does not end with ctx.
func (v *Vault) leaveBehind(ctx context.Context, moves []*move) error {
	if len(moves) == 0 {
		return nil
	}
	if err := v.enter(); err != nil {
		return err
	}
	defer v.leave()
	errs := make([]error, len(moves))
	var all sync.WaitGroup
	for i, m := range moves {
		all.Go(func() { errs[i] = v.settleDoomed(context.WithoutCancel(ctx), m.old) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// moving is one version on its way.
type moving struct {
	number uint32
	to     string
}

// move is what became of it.
type move struct {
	receipt []byte
	old     intent // to destroy what was left behind
}

// move brings a version's material to a driver. A version that is there already is
// left alone.
func (v *Vault) move(ctx context.Context, t *target, e *entry, g moving) (*move, error) {
	path := versionPath(t.ID, g.number)
	record := v.store.Version(path)
	from, err := v.keys.version(ctx, t.ID, g.number)
	if err != nil || from.Driver == g.to {
		return nil, err
	}
	to, err := v.destination(from, g.to)
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

	begin := func(tx *keystore.Tx) error {
		if tx.Version(keyPath(t.ID)) != t.record {
			return errStale
		}
		return nil
	}
	create := func(ctx context.Context) (driver.Created, error) { return v.transfer(ctx, from, to) }
	keep := func(tx *keystore.Tx, created driver.Created) (err error) {
		if tx.Version(path) != record {
			return errStale // moved by another, or deleted and imported again
		}
		if m.receipt, err = v.receipt(from, to); err != nil {
			return err
		}
		e.rec.Detail = map[string]string{"from": from.Driver, "to": g.to, "receipt": string(m.receipt)}
		return keepVersion(tx, to, created)
	}
	finish := func(tx *keystore.Tx) error {
		m.old.Seq = e.rec.Intent
		tx.Put(intentPath(oldID), encode(m.old))
		v.postpone(intentPath(oldID))
		return relocate(tx, to)
	}
	err = v.make(ctx, e, making{ver: to, op: OpMoveKey, begin: begin, create: create, keep: keep, finish: finish})
	if err != nil && v.store.Version(path) != record {
		err = errStale // what it failed by may be that
	}
	return m, err
}

// destination describes a version as it will be on another driver.
func (v *Vault) destination(from version, on string) (version, error) {
	d, ok := v.drivers[on]
	if !ok {
		return version{}, invalid("driver %q is not among Config.Drivers", on)
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
	return to, nil
}

// transfer imports the material of from into the driver of to, and checks that it is
// the same there.
func (v *Vault) transfer(ctx context.Context, from, to version) (created driver.Created, err error) {
	oldID, err := from.material()
	if err != nil {
		return created, err
	}
	newID, err := to.material()
	if err != nil {
		return created, err
	}
	blob, err := v.store.Get(ctx, materialPath(oldID))
	if err != nil {
		return created, err
	}
	buf, err := v.arena.Alloc(unwrap.MaxMaterial)
	if err != nil {
		return created, err
	}
	defer buf.Free()
	engine := v.drivers[softDriver].(*soft.Driver)
	material, err := engine.ExportMaterial(ctx, soft.Material{ID: oldID, Spec: from.spec(), Blob: blob.Value}, buf.Bytes()[:0])
	if err != nil {
		return created, err
	}
	created, err = v.drivers[to.Driver].(driver.Importer).ImportKey(ctx, newID, to.spec(), material)
	if err != nil {
		return created, err
	}
	return created, v.compare(ctx, from, to, created)
}

// compare checks that a driver made the same key of the material that it was given.
func (v *Vault) compare(ctx context.Context, from, to version, created driver.Created) error {
	same := bytes.Equal(created.PublicDER, from.Public)
	if from.DeviceUse == driver.Derive {
		var err error
		if same, err = v.samePRF(ctx, from, to, created); err != nil {
			return err
		}
	}
	if !same {
		return fmt.Errorf("%w: driver %q made another key of the material", ErrUnavailable, to.Driver)
	}
	return nil
}

// samePRF compares two PRFs on an input that nobody knows beforehand.
func (v *Vault) samePRF(ctx context.Context, from, to version, created driver.Created) (bool, error) {
	var probe, here, there [suite.HashSize]byte
	rand.Read(probe[:])
	defer suite.Wipe(here[:])
	defer suite.Wipe(there[:])
	if _, err := v.prf(ctx, from, here[:0], probe[:]); err != nil {
		return false, err
	}
	id, err := to.material()
	if err != nil {
		return false, err
	}
	key, err := v.drivers[to.Driver].OpenKey(ctx, id, to.spec(), created.Blob)
	if err != nil {
		return false, err
	}
	defer key.Close()
	prf, ok := key.(driver.PRF)
	if !ok {
		return false, nil
	}
	_, err = prf.PRF(ctx, there[:0], probe[:])
	return here == there, err
}

// receipt signs that a version was moved.
func (v *Vault) receipt(from, to version) ([]byte, error) {
	return v.log.key.Load().SignReceipt(audit.Receipt{
		Origin: v.log.origin, Key: to.Key, Version: to.Number,
		From: audit.Place{Driver: from.Driver, Material: from.Material}, To: audit.Place{Driver: to.Driver, Material: to.Material},
		Device: v.drivers[to.Driver].Info().Device.Serial, Time: v.clock.Now(),
	})
}

// relocate tells the CMK where its primary version is now. The record is written in
// any case, so that whoever decided on the old place decides anew.
func relocate(tx *keystore.Tx, ver version) error {
	path := keyPath(ver.Key)
	r, err := tx.Get(path)
	if err != nil {
		return err
	}
	k, err := decode[Key](path, r.Value)
	if err != nil {
		return err
	}
	if !k.State.allows(OpMoveKey) {
		return k.State.refuse(OpMoveKey, k.ID)
	}
	if k.Version == ver.Number {
		k.settle(ver)
	}
	tx.Put(path, encode(k))
	return nil
}
