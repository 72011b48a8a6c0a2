package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/rootunlock"
)

// Protector is the description of one of the vault's protectors.
type Protector struct {
	// ID identifies the protector in RemoveProtector.
	ID           string    `json:"id"`
	Kind         string    `json:"kind"`
	MachineBound bool      `json:"machine_bound"`
	Created      time.Time `json:"created"`
}

// describeProtector returns the description of an entry of the root file.
func describeProtector(p keystore.Protector) Protector {
	return Protector{p.ID, p.Kind, p.MachineBound, p.Created}
}

// ListProtectors returns the descriptions of the vault's protectors.
func (c Client) ListProtectors(ctx context.Context) ([]Protector, error) {
	return useVault(ctx, c, request{op: OpListProtectors}, func(context.Context, *decision) (out []Protector, err error) {
		for _, p := range c.vault.store.Root().Protectors {
			out = append(out, describeProtector(p))
		}
		return out, nil
	}, nil)
}

// proveAccess recovers the root of the open vault with one of the protectors, as proof that
// the caller has access, and passes it to use.
func (v *Vault) proveAccess(ctx context.Context, protectors []driver.Protector, use func(rootunlock.Result) error) error {
	u := rootunlock.New(v.arena, math.MaxUint64, protectors)
	defer u.Free()
	how, err := u.Unlock(ctx, rootunlock.Wrapped{Binding: v.binding(), Entries: v.store.Root().Protectors, Authenticates: v.store.AuthenticatesRoot})
	if err != nil {
		return err
	}
	return use(how)
}

// AddProtector adds p to the vault's protectors. unlock must open the vault now, as proof
// that the caller has access. Errors: ErrUnlock, ErrWrongDevice, ErrInvalid, ErrTooLarge
// for more than 64 protectors.
func (c Client) AddProtector(ctx context.Context, unlock, p driver.Protector) (Protector, error) {
	return operate(ctx, c, request{op: OpAddProtector, onVault: true}, func(ctx context.Context, d *decision) (Protector, error) {
		was := c.vault.store.Root()
		added, err := c.vault.protectBy(ctx, was, unlock, p)
		if err != nil {
			return Protector{}, d.fail(ctx, err)
		}
		d.rec.Detail = map[string]string{"protector": added.ID, "kind": added.Kind}
		entry := []keystore.Protector{added}
		if err := d.replaceProtectors(ctx, was, slices.Concat(was.Protectors, entry)); err != nil {
			return Protector{}, c.vault.takeBack(ctx, err, []driver.Protector{p}, entry)
		}
		return describeProtector(added), nil
	}, nil)
}

// protectBy wraps the root of the root file was with p, for a caller who proves access with
// unlock.
func (v *Vault) protectBy(ctx context.Context, was keystore.Root, unlock, p driver.Protector) (added keystore.Protector, err error) {
	if err := rootunlock.CheckNoNil([]driver.Protector{unlock, p}); err != nil {
		return added, err
	}
	err = v.proveAccess(ctx, []driver.Protector{unlock}, func(how rootunlock.Result) error {
		entries, err := rootunlock.Protect(ctx, v.binding(), how.Root.Bytes(), []driver.Protector{p})
		if err != nil {
			return err
		}
		added = entries[0]
		if err := rootunlock.CheckWork(v.cfg.UnlockWork, v.binding(), []driver.Protector{p}, slices.Concat(was.Protectors, entries)); err != nil {
			return v.takeBack(ctx, err, []driver.Protector{p}, entries)
		}
		return nil
	})
	return added, err
}

// RemoveProtector removes the protector with the given id. The removed protector still
// opens copies of the directory that were made before; RotateRoot ensures that it does not
// open later ones. The last protector that is not bound to this machine cannot be removed,
// unless Config.AcceptLossWithMachine is set. Errors: ErrNotFound, ErrInvalid.
func (c Client) RemoveProtector(ctx context.Context, id string) error {
	return c.do(ctx, request{op: OpRemoveProtector, onVault: true, subject: id}, func(ctx context.Context, d *decision) error {
		was := c.vault.store.Root()
		kept, err := c.vault.without(was.Protectors, id)
		if err != nil {
			return d.fail(ctx, err)
		}
		d.rec.Detail = map[string]string{"protector": id}
		return d.replaceProtectors(ctx, was, kept)
	})
}

// without returns the protectors that are left if one is removed.
func (v *Vault) without(all []keystore.Protector, id string) (kept []keystore.Protector, err error) {
	portable := false
	for _, p := range all {
		if p.ID != id {
			kept = append(kept, p)
			portable = portable || !p.MachineBound
		}
	}
	switch {
	case len(kept) == len(all):
		return nil, fmt.Errorf("%w: protector %.80q", ErrNotFound, id)
	case len(kept) == 0:
		return nil, invalid("the last protector cannot be removed, because nothing could open the vault")
	case !portable && !v.cfg.AcceptLossWithMachine:
		return nil, invalid("the remaining protectors would all be bound to this machine")
	}
	return kept, nil
}

// replaceProtectors commits the operation together with the protectors that replace those
// of the root file was. If the root file changed since, it returns errConflict; otherwise it
// could restore a protector that was removed, or keep one that protects an earlier root.
func (d *decision) replaceProtectors(ctx context.Context, was keystore.Root, all []keystore.Protector) error {
	v := d.client.vault
	return d.commitLate(ctx, commitPlan{
		change: func(*keystore.Tx) error {
			if v.store.Root().Generation != was.Generation {
				return errConflict
			}
			return nil
		},
		commit: func(ctx context.Context, op func(*keystore.Tx) error) error { return v.putProtectors(ctx, all, op) },
	})
}

// RotateRoot replaces the vault's root and the keys of all stored records. Afterwards the
// vault has only the given protectors, and no other protector opens the new contents of the
// directory.
//
// At least one of the protectors must open the vault now, as proof that the caller has
// access. To replace all protectors, first add a new one with AddProtector.
//
// If a shortage of disk space or descriptors interrupts RotateRoot after its record is
// durable, it returns ErrStorageFull or ErrUnavailable although the new root is in force in
// this vault. The vault goes on, and completes the rotation within about a second of the end
// of the shortage. If the process ends before that, the next Open completes the rotation if
// one of the given protectors opens the vault, and otherwise abandons it and records that.
//
// Errors: ErrUnlock; ErrWrongDevice; ErrInvalid as in Create; ErrTooLarge after 511 roots,
// or for protectors that exceed Config.UnlockWork.
func (c Client) RotateRoot(ctx context.Context, protectors ...driver.Protector) error {
	v := c.vault
	protectors = slices.Clone(protectors)
	return c.do(ctx, request{op: OpRotateRoot, onVault: true}, func(ctx context.Context, d *decision) error {
		by, err := v.provenBy(ctx, protectors)
		if err != nil {
			return d.fail(ctx, err)
		}
		root, err := v.arena.Alloc(rootunlock.RootSize)
		if err != nil {
			return d.fail(ctx, err)
		}
		defer root.Free()
		rand.Read(root.Bytes())
		entries, err := rootunlock.Protect(ctx, v.binding(), root.Bytes(), protectors)
		if err != nil {
			return d.fail(ctx, err)
		}
		if err := rootunlock.CheckWork(v.cfg.UnlockWork, v.binding(), protectors, entries); err != nil {
			return d.fail(ctx, v.takeBack(ctx, err, protectors, entries))
		}
		d.rec.Detail = map[string]string{"protectors": rootunlock.Describe(entries)}
		err = d.commitLate(ctx, commitPlan{
			change: func(*keystore.Tx) error {
				is := func(p keystore.Protector) bool { return p.ID == by }
				if !slices.ContainsFunc(v.store.Root().Protectors, is) {
					return errConflict // it was removed in between
				}
				return nil
			},
			commit: func(ctx context.Context, op func(*keystore.Tx) error) error {
				return v.store.Rekey(ctx, keystore.Rekeying{Root: root.Bytes(), Protectors: entries, Op: op})
			},
		})
		if err != nil {
			return v.takeBack(ctx, err, protectors, entries)
		}
		return nil
	})
}

// provenBy checks the protectors of RotateRoot and returns the id of the present entry that
// one of them opened.
func (v *Vault) provenBy(ctx context.Context, protectors []driver.Protector) (by string, err error) {
	if err := rootunlock.Check(protectors, v.cfg.AcceptLossWithMachine); err != nil {
		return "", err
	}
	err = v.proveAccess(ctx, protectors, func(how rootunlock.Result) error { by = how.By; return nil })
	return by, err
}

// putProtectors replaces the protectors in the store. ErrUnfinished is a success, because
// the protectors are in force and on record; the store removes the replaced root file as
// soon as there are disk space and descriptors, and commits nothing before that.
func (v *Vault) putProtectors(ctx context.Context, p []keystore.Protector, op func(*keystore.Tx) error) error {
	err := v.store.ReplaceProtectors(ctx, p, op)
	if errors.Is(err, keystore.ErrUnfinished) && v.store.Failed() == nil {
		return nil
	}
	return err
}

// takeBack is rootunlock.Discard, unless the commit of the entries is in doubt or they are in force.
func (v *Vault) takeBack(ctx context.Context, err error, protectors []driver.Protector, entries []keystore.Protector) error {
	inForce := func(p keystore.Protector) bool { return p.ID == entries[0].ID }
	if v.store.Failed() != nil || slices.ContainsFunc(v.store.Root().Protectors, inForce) {
		return err
	}
	return rootunlock.Discard(ctx, err, v.binding(), protectors, entries)
}

// reprotect protects the root with the device of p, which was cleared or replaced, after
// another protector opened the vault. The new entry replaces the entry of the same kind. If
// there are several of that kind, perhaps of other machines, it is added to them. If the
// device fails, the disk is nearly full, or the vault has the maximum number of protectors,
// reprotect changes nothing and records the failure.
func (v *Vault) reprotect(ctx context.Context, p driver.Protector, root []byte) error {
	rec := v.record(OpHealProtector, v.cfg.Owner)
	rec.Detail = map[string]string{"kind": p.Kind()}
	fresh, err := rootunlock.Protect(ctx, v.binding(), root, []driver.Protector{p})
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return v.recordReprotectFailure(ctx, rec, err)
	}
	rec.Detail["protector"] = fresh[0].ID
	entries := slices.Clone(v.store.Root().Protectors)
	var same []int
	for i, e := range entries {
		if e.Kind == p.Kind() {
			same = append(same, i)
		}
	}
	if len(same) == 1 {
		rec.Detail["replaced"] = entries[same[0]].ID
		entries[same[0]] = fresh[0]
	} else {
		entries = append(entries, fresh[0])
	}
	err = v.putProtectors(ctx, entries, func(tx *keystore.Tx) error { v.appendAudit(tx, rec); return nil })
	if err != nil {
		err = v.takeBack(ctx, err, []driver.Protector{p}, fresh)
	}
	if errors.Is(err, keystore.ErrTooLarge) || errors.Is(err, keystore.ErrFull) && v.store.Failed() == nil {
		return v.recordReprotectFailure(ctx, rec, err)
	}
	return err
}

// recordReprotectFailure records that the protector was not replaced.
func (v *Vault) recordReprotectFailure(ctx context.Context, rec audit.Record, cause error) error {
	rec.Result, rec.Error = audit.Failed, errorName(translate(cause))
	return v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error { v.appendAudit(tx, rec); return nil })
}
