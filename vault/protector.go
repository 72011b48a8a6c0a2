package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"strongroom.example/driver"
	"strongroom.example/keystore"
)

// Protector is the description of one of the vault's protectors.
type Protector struct {
	// ID identifies the protector in RemoveProtector.
	ID           string    `json:"id"`
	Kind         string    `json:"kind"`
	MachineBound bool      `json:"machine_bound"`
	Created      time.Time `json:"created"`
}

// ListProtectors returns the descriptions of the vault's protectors.
func (c Client) ListProtectors(ctx context.Context) ([]Protector, error) {
	var out []Protector
	err := c.onVault(ctx, request{op: OpListProtectors}, func(context.Context, *entry) error {
		for _, p := range c.vault.store.Root().Protectors {
			out = append(out, Protector{p.ID, p.Kind, p.MachineBound, p.Created})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// AddProtector adds p to the vault's protectors. unlock must open the vault now, as proof
// that the caller has access. Errors: ErrUnlock, ErrWrongDevice, ErrInvalid, ErrTooLarge
// for more than 64 protectors.
func (c Client) AddProtector(ctx context.Context, unlock, p driver.Protector) (Protector, error) {
	v := c.vault
	var added keystore.Protector
	err := c.onVault(ctx, request{op: OpAddProtector}, func(ctx context.Context, e *entry) error {
		if err := noneNil([]driver.Protector{unlock, p}); err != nil {
			return err
		}
		was := v.store.Root()
		return v.present(ctx, []driver.Protector{unlock}, func(how unlocking) error {
			entries, err := protectAll(ctx, v.binding(), how.root.Bytes(), []driver.Protector{p})
			if err != nil {
				return err
			}
			if err := checkWork(v.cfg, v.binding(), []driver.Protector{p}, slices.Concat(was.Protectors, entries)); err != nil {
				return err
			}
			added = entries[0]
			e.rec.Detail = map[string]string{"protector": added.ID, "kind": added.Kind}
			v.replaceProtectors(e, was, slices.Concat(was.Protectors, entries))
			return nil
		})
	})
	if err != nil {
		return Protector{}, err
	}
	return Protector{added.ID, added.Kind, added.MachineBound, added.Created}, nil
}

// RemoveProtector removes the protector with the given id. The removed protector still
// opens copies of the directory that were made before; RotateRoot ensures that it does not
// open later ones. The last protector that is not bound to this machine cannot be removed,
// unless Config.AcceptLossWithMachine is set. Errors: ErrNotFound, ErrInvalid.
func (c Client) RemoveProtector(ctx context.Context, id string) error {
	v := c.vault
	return c.onVault(ctx, request{op: OpRemoveProtector}, func(_ context.Context, e *entry) error {
		var kept []keystore.Protector
		portable, was := false, v.store.Root()
		for _, p := range was.Protectors {
			if p.ID != id {
				kept = append(kept, p)
				portable = portable || !p.MachineBound
			}
		}
		switch {
		case len(kept) == len(was.Protectors):
			return fmt.Errorf("%w: protector %.80q", ErrNotFound, id)
		case len(kept) == 0:
			return invalid("the last protector cannot be removed: nothing would open the vault")
		case !portable && !v.cfg.AcceptLossWithMachine:
			return invalid("only protectors bound to this machine would be left")
		}
		e.rec.Detail = map[string]string{"protector": id}
		v.replaceProtectors(e, was, kept)
		return nil
	})
}

// RotateRoot replaces the vault's root and the keys of all stored records. Afterwards the
// vault has only the given protectors, and no other protector opens the new contents of the
// directory.
//
// At least one of the protectors must open the vault now, as proof that the caller has
// access. To replace all protectors, first add a new one with AddProtector. Errors:
// ErrUnlock; ErrWrongDevice; ErrInvalid as in Create; ErrTooLarge after 511 roots, or for
// protectors that exceed Config.UnlockWork.
func (c Client) RotateRoot(ctx context.Context, protectors ...driver.Protector) error {
	v := c.vault
	protectors = slices.Clone(protectors)
	return c.onVault(ctx, request{op: OpRotateRoot}, func(ctx context.Context, e *entry) error {
		if err := checkProtectors(v.cfg, protectors); err != nil {
			return err
		}
		var by string
		if err := v.present(ctx, protectors, func(how unlocking) error { by = how.by; return nil }); err != nil {
			return err
		}
		root, err := v.arena.Alloc(rootSize)
		if err != nil {
			return err
		}
		rand.Read(root.Bytes())
		entries, err := protectAll(ctx, v.binding(), root.Bytes(), protectors)
		if err == nil {
			err = checkWork(v.cfg, v.binding(), protectors, entries)
		}
		if err != nil {
			root.Free()
			return err
		}
		e.change = func(*keystore.Tx) error {
			is := func(p keystore.Protector) bool { return p.ID == by }
			if !slices.ContainsFunc(v.store.Root().Protectors, is) {
				return errStale // it was removed in between
			}
			return nil
		}
		e.askAgain = true
		e.undo = func(error) error { root.Free(); return nil } // if there is no commit
		e.commit = func(ctx context.Context, op func(*keystore.Tx) error) error {
			defer root.Free()
			return v.store.Rekey(ctx, keystore.Rekeying{Root: root.Bytes(), Protectors: entries, Op: op})
		}
		e.rec.Detail = map[string]string{"protectors": listed(entries)}
		return nil
	})
}

// replaceProtectors makes e replace the protectors of the root file was by p. If the root
// file changed since, the operation is repeated; otherwise it could restore a protector
// that was removed, or keep one that protects an earlier root.
func (v *Vault) replaceProtectors(e *entry, was keystore.Root, p []keystore.Protector) {
	e.askAgain = true
	e.change = func(*keystore.Tx) error {
		if v.store.Root().Generation != was.Generation {
			return errStale
		}
		return nil
	}
	e.commit = func(ctx context.Context, op func(*keystore.Tx) error) error {
		return v.putProtectors(ctx, p, op)
	}
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
