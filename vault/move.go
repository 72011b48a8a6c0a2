package vault

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
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
	"strongroom.example/vault/internal/deviceid"
	"strongroom.example/vault/internal/devicekey"
	"strongroom.example/vault/internal/intentrecords"
	"strongroom.example/vault/internal/record"
)

// MoveKey moves the wrapped material of a CMK, in all its versions, to another of the
// vault's drivers. Ciphertexts do not change. In a device that stores keys the material
// becomes resident and cannot be moved again; its provenance still shows that it was
// outside the device. MoveKey destroys the old material as DeleteImportedKeyMaterial does,
// even if the move fails for a later version, and invalidates an import token with which an
// import was attempted. For all versions together it uses up the approvals that a decision
// demands once, is one use of a grant, and counts once for a Limiter.
//
// MoveKey returns a receipt for each moved version, the oldest first, signed by the log key
// (audit.OpenReceipt reads it). The audit record holds the receipt too. After an
// interruption, call MoveKey again to move the remaining versions.
//
// Errors:
//
//   - ErrNotExportable: the material is resident.
//   - ErrUnsupported: the driver does not accept the material, or its level is too low.
//   - ErrInvalid: there is no such driver.
//   - ErrKeyState, ErrUnavailable, ErrDenied.
func (c Client) MoveKey(ctx context.Context, key, to string) ([][]byte, error) {
	moves, err := c.moveVersions(ctx, key, to)
	left := c.vault.destroyMoved(ctx, moves)
	var receipts [][]byte
	for _, m := range moves {
		receipts = append(receipts, m.receipt)
	}
	return receipts, cmp.Or(err, wrap(OpMoveKey, key, left))
}

// moveVersions moves the versions one by one, and returns the moves that succeeded.
func (c Client) moveVersions(ctx context.Context, key, to string) (moves []*movedVersion, err error) {
	id, done := "", callCounts{}
	for n, last := uint32(1), uint32(1); n <= last; n++ {
		q := request{op: OpMoveKey, key: cmp.Or(id, key), version: n, driver: to, counted: done}
		m, err := operate(ctx, c, q, func(ctx context.Context, d *decision) (*movedVersion, error) {
			defer func() { done = d.q.counted }()
			id, last = d.t.ID, d.t.Version
			return d.moveVersion(ctx)
		}, nil)
		if err != nil {
			return moves, err
		}
		if m != nil { // nil if it is there already
			moves = append(moves, m)
		}
	}
	return moves, nil
}

// destroyMoved destroys the material at its old place. It destroys all versions
// concurrently, so that they share a change of epoch, and ignores the end of ctx.
func (v *Vault) destroyMoved(ctx context.Context, moves []*movedVersion) error {
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
		all.Go(func() { errs[i] = v.finishDestruction(context.WithoutCancel(ctx), m.old) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// movedVersion is the result of moving one version.
type movedVersion struct {
	receipt []byte
	old     intent // intent to destroy the material at its old place
}

// moveVersion moves the material of the requested version to the requested driver. It
// returns nil if the version is there already.
func (d *decision) moveVersion(ctx context.Context) (*movedVersion, error) {
	v, t := d.client.vault, d.t
	path := versionPath(t.ID, d.q.version)
	record := v.store.Version(path)
	from, err := v.records.version(ctx, t.ID, d.q.version)
	if err != nil {
		return nil, d.fail(ctx, err)
	}
	if from.Driver == d.q.driver || !from.Trimmed.IsZero() {
		d.keepsApprovals = true // they are for the versions that are not there
		return nil, d.commit(ctx, commitPlan{check: unchanged})
	}
	to, err := v.destination(t.Key, from, d.q.driver)
	if err != nil {
		return nil, d.fail(ctx, err)
	}
	m := &movedVersion{}
	if m.old, err = d.newIntent(from); err != nil {
		return nil, d.fail(ctx, err)
	}
	m.old.Destruction = &intentrecords.Destruction{Spec: from.spec(), Epoch: true}
	d.rec.Algorithm = string(from.Algorithm)
	d.rec.Detail = map[string]string{"from": from.Driver, "to": to.Driver}
	err = d.createMaterial(ctx, materialPlan{
		ver:    to,
		create: func(ctx context.Context) (driver.Created, error) { return v.copyMaterial(ctx, from, to) },
		keep: func(tx *keystore.Tx, made madeKey) error {
			if tx.Version(path) != record {
				return errConflict // it was moved, or deleted and imported again
			}
			return d.keepMoved(tx, m, from, to, made)
		},
	})
	if err != nil && v.store.Version(path) != record {
		err = errConflict // the concurrent change may be the cause
	}
	return m, err
}

// keepMoved stores a version at its new place, with a receipt, and the intent to destroy the
// material at its old place.
func (d *decision) keepMoved(tx *keystore.Tx, m *movedVersion, from, to storedVersion, made madeKey) (err error) {
	v := d.client.vault
	if m.receipt, err = v.receipt(from, to); err != nil {
		return err
	}
	d.rec.Detail = map[string]string{"from": from.Driver, "to": to.Driver, "receipt": string(m.receipt)}
	if err := putVersion(tx, to, made); err != nil {
		return err
	}
	m.old.Seq = d.rec.Intent
	tx.Put(intentPath(m.old.Material), encode(m.old))
	v.tasks.Postpone(intentPath(m.old.Material))
	// The wrapping key could decrypt, in the host, the wrapped material that was imported.
	if err := v.invalidateUsedToken(tx, to.Key); err != nil {
		return err
	}
	return setVersionLocation(tx, to)
}

// destination describes a version as it will be on another driver.
func (v *Vault) destination(k Key, from storedVersion, on string) (storedVersion, error) {
	d, ok := v.drivers[on]
	if !ok {
		return storedVersion{}, invalid("driver %.80q is not among Config.Drivers", on)
	}
	if from.Residence != Wrapped || from.Driver != softDriver {
		return storedVersion{}, fmt.Errorf("%w: version %d is resident in driver %q; create another key and use ReEncrypt", ErrNotExportable, from.Number, from.Driver)
	}
	info := d.Info()
	can, _ := info.Find(from.spec())
	if _, able := d.(driver.Importer); !able || !can.Import {
		return storedVersion{}, fmt.Errorf("%w: driver %q does not import %s", ErrUnsupported, on, from.spec())
	}
	to := from
	to.Driver, to.Material = on, driver.MaterialID(v.entropy.ID()).String()
	if can.Resident {
		to.Residence, to.Level = Resident, info.Level
	}
	return to, v.checkLevel(k.MinLevel, to)
}

// receipt signs a receipt for the move of a version.
func (v *Vault) receipt(from, to storedVersion) ([]byte, error) {
	return v.log.Key.Load().SignReceipt(audit.Receipt{
		Origin: v.log.Origin, Key: to.Key, Version: to.Number,
		From: audit.Place{Driver: from.Driver, Material: from.Material}, To: audit.Place{Driver: to.Driver, Material: to.Material},
		Device: v.drivers[to.Driver].Info().Device.Serial, Time: v.clock.Now(),
	})
}

// setVersionLocation updates the CMK with the new place of its primary version.
func setVersionLocation(tx *keystore.Tx, ver storedVersion) error {
	k, err := keyInTx(tx, ver.Key)
	if err != nil {
		return err
	}
	if !k.State.allows(OpMoveKey) {
		return k.State.refuse(OpMoveKey, k.ID)
	}
	if k.Version == ver.Number {
		k.setLocation(ver)
	}
	tx.Put(keyPath(k.ID), encode(k))
	return nil
}

// copyMaterial imports the material of from into the driver of to, and checks that it is the
// same there.
func (v *Vault) copyMaterial(ctx context.Context, from, to storedVersion) (created driver.Created, err error) {
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
	return created, v.checkCopy(ctx, from, to, created)
}

// checkCopy checks that the key that a driver made of the material computes the same as the
// original.
func (v *Vault) checkCopy(ctx context.Context, from, to storedVersion, created driver.Created) error {
	same := bytes.Equal(created.PublicDER, from.Public)
	if from.DeviceUse == driver.Derive {
		var err error
		if same, err = v.samePRF(ctx, from, to, created); err != nil {
			return err
		}
	}
	if !same {
		return fmt.Errorf("%w: driver %q computes with another key than the moved one", ErrUnavailable, to.Driver)
	}
	return nil
}

// samePRF compares two PRFs on a random input.
func (v *Vault) samePRF(ctx context.Context, from, to storedVersion, created driver.Created) (bool, error) {
	var probe [suite.HashSize]byte
	var here, there [driver.MaxMACSize]byte
	rand.Read(probe[:])
	defer suite.Wipe(here[:])
	defer suite.Wipe(there[:])
	mine, err := v.prf(ctx, from, here[:0], probe[:])
	if err != nil {
		return false, err
	}
	id, err := to.material()
	if err != nil {
		return false, err
	}
	key, err := devicekey.Opened(v.drivers[to.Driver].OpenKey(ctx, id, to.spec(), created.Blob))
	if err != nil {
		return false, err
	}
	defer key.Close()
	prf, ok := key.(driver.PRF)
	if !ok {
		return false, nil
	}
	its, err := devicekey.CheckedPRF(ctx, prf, to.Algorithm, there[:0], probe[:])
	return hmac.Equal(mine, its), err
}

// confirmDevice is called before material is destroyed in a device, because the absence of an
// object proves its destruction only in the device that had it. If the driver has another
// device now, and that is a clone or a member of a cluster which holds the object, the object
// belongs to it from then on, and in says so. Otherwise confirmDevice returns ErrWrongDevice
// and records it.
func (v *Vault) confirmDevice(ctx context.Context, in *intent) error {
	now := v.deviceOf(in.Driver)
	other := in.Device.Check(now, in.Key, in.Driver)
	if other == nil {
		return nil
	}
	if now != nil {
		there, err := deviceid.Holds(ctx, v.drivers[in.Driver].(driver.Lister), in.Material)
		if err != nil {
			return err
		}
		if there {
			in.Device = now
			return v.storeDevice(ctx, *in)
		}
	}
	return errors.Join(other, v.recordOtherDevice(ctx, *in))
}

// storeDevice stores the device of an intent, in the intent or, if the intent is not stored,
// in the version of the material. It precedes the destruction, so that the absence of the
// object proves the destruction if a crash interrupts it.
func (v *Vault) storeDevice(ctx context.Context, in intent) error {
	return v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
		if path := intentPath(in.Material); tx.Version(path) != 0 {
			stored, err := record.Read[intent](tx, path)
			if err != nil {
				return err
			}
			stored.Device = in.Device
			tx.Put(path, encode(stored))
			return nil
		}
		ver, err := versionInTx(tx, in.Key, in.Number)
		if err != nil {
			return err
		}
		if ver.Material != in.Material.String() {
			return errConflict
		}
		ver.Device = in.Device
		tx.Put(versionPath(ver.Key, ver.Number), encode(ver))
		return nil
	})
}

// recordOtherDevice records that a destruction waits for another device, once for each
// operation on a CMK while the vault is open, because a driver keeps its device that long.
func (v *Vault) recordOtherDevice(ctx context.Context, in intent) error {
	rec := v.record(Operation(in.Operation), Principal(in.Principal))
	if in.Operation == "" {
		rec = v.record(OpDestroyKey, principalVault)
	}
	mark := rec.Operation + " " + in.Key
	if _, recorded := v.waiting.LoadOrStore(mark, true); recorded {
		return nil
	}
	rec.Result, rec.Error = audit.Failed, errorName(ErrWrongDevice)
	rec.Key, rec.KeyVersion, rec.Driver = in.Key, in.Number, in.Driver
	rec.Detail = map[string]string{"material": in.Material.String(), "device": in.Device.Serial}
	err := v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error { v.appendAudit(tx, rec); return nil })
	if err != nil {
		v.waiting.Delete(mark)
	}
	return err
}
