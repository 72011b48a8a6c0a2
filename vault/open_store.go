package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/keystore"
)

// openStore unlocks the root files in dir one by one, until the store opens with one of
// them. It tries differing files in the order of the work that they demand, so that a file
// that an attacker made expensive is tried last.
func (v *Vault) openStore(ctx context.Context, dir string, u *unlocker) (unlocking, error) {
	files, err := v.candidates(dir)
	if err != nil {
		return unlocking{}, err
	}
	slices.SortStableFunc(files, func(a, b *keystore.Root) int {
		return cmp.Compare(u.workIn(wrappedIn(a)), u.workIn(wrappedIn(b)))
	})
	var locked []error
	var fault error // first error of the store
	tried := 0      // number of roots tried with keystore.Open
	for _, f := range files {
		if u.known(f) == nil {
			if _, err := u.unlock(ctx, wrappedIn(f)); err != nil {
				locked = append(locked, err)
			}
			if ctx.Err() != nil {
				return unlocking{}, ctx.Err()
			}
		}
		for u.known(f) != nil && len(u.roots) > tried {
			tried = len(u.roots)
			how, err := v.openBy(ctx, f, files, u)
			if err == nil || !mayBeOther(err) && !errors.Is(err, errNewerRoot) {
				return how, err
			}
			if !errors.Is(err, errNewerRoot) {
				fault = cmp.Or(fault, err)
			}
		}
	}
	return unlocking{}, cmp.Or(fault, errors.Join(locked...))
}

// mayBeOther reports whether a store that failed to open with one root file may open with
// another, because the first is of another time or vault.
func mayBeOther(err error) bool {
	return errors.Is(err, keystore.ErrRolledBack) || errors.Is(err, keystore.ErrCorrupt) || errors.Is(err, ErrUnlock) || errors.Is(err, ErrWrongVault)
}

// openBy opens the store with a root file that u unlocked. The root file that the store's
// head names is decisive for the protectors: whichever file gave the root, one of the
// protectors must also open an entry of that file.
func (v *Vault) openBy(ctx context.Context, f *keystore.Root, files []*keystore.Root, u *unlocker) (how unlocking, err error) {
	v.id = f.VaultID
	v.setOrigin()
	cfg := v.storeConfig(u.known(f))
	cfg.Roots = u.all()
	cfg.Admit = v.admit
	cfg.Accept = func(inForce *keystore.Root) (err error) {
		if err := v.unlockNewer(ctx, inForce, files, u); err != nil {
			return err
		}
		v.id, v.log.origin = inForce.VaultID, audit.Origin(idText(inForce.VaultID))
		u.work = math.MaxUint64 // no limit: this file is authenticated
		how, err = u.unlock(ctx, wrappedIn(inForce))
		return err
	}
	cfg.Healed = v.recordHealedFiles
	v.store, err = keystore.Open(ctx, cfg, f)
	u.work = v.cfg.UnlockWork
	return how, err
}

// errNewerRoot makes openStore open the store again with a root that it did not know
// before.
var errNewerRoot = errors.New("another root file is newer than the one in force")

// unlockNewer tries to unlock files that claim to be newer than the one in force and have
// another root. If one of them unlocks, it is the new file of an interrupted RotateRoot, or
// the store is from an earlier time; keystore.Open distinguishes the two. Because the file
// may be forged, the work for it is bounded by the work that the file in force demands.
func (v *Vault) unlockNewer(ctx context.Context, inForce *keystore.Root, files []*keystore.Root, u *unlocker) error {
	u.work = min(v.cfg.UnlockWork, 2*u.workIn(wrappedIn(inForce))+1000)
	for _, f := range files {
		if f.Generation <= inForce.Generation || f.VaultID != inForce.VaultID || u.known(f) != nil {
			continue
		}
		if _, err := u.unlock(ctx, wrappedIn(f)); err == nil {
			return errNewerRoot
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// candidates reads the root files that may be this vault's: those with the configured
// edition and, if it is pinned, the configured id. Their contents are not authenticated
// yet.
func (v *Vault) candidates(dir string) ([]*keystore.Root, error) {
	files, err := keystore.ReadRoots(dir)
	if err != nil {
		return nil, err
	}
	first := files[0]
	files = slices.DeleteFunc(files, func(f *keystore.Root) bool {
		return v.cfg.VaultID != "" && idText(f.VaultID) != v.cfg.VaultID
	})
	if len(files) == 0 {
		return nil, otherVault("id", idText(first.VaultID), v.cfg.VaultID)
	}
	first = files[0]
	files = slices.DeleteFunc(files, func(f *keystore.Root) bool {
		return driver.Edition(f.Edition) != v.cfg.Edition || f.Suite() != v.suite
	})
	if len(files) > 0 {
		return files, nil
	}
	if edition := driver.Edition(first.Edition); edition != v.cfg.Edition {
		return nil, invalid("the vault's edition is %v; Config.Edition says %v", edition, v.cfg.Edition)
	}
	return nil, fmt.Errorf("%w: the root file names suite %v, which is not that of its edition", ErrCorrupt, first.Suite())
}

// admit rejects an authenticated root file of another vault than Config pins.
func (v *Vault) admit(f *keystore.Root, secret func(label string, dst []byte)) error {
	if v.cfg.VaultID != "" && idText(f.VaultID) != v.cfg.VaultID {
		return otherVault("id", idText(f.VaultID), v.cfg.VaultID)
	}
	if v.cfg.LogKey == "" {
		return nil
	}
	seed, err := v.arena.Alloc(secretSize)
	if err != nil {
		return err
	}
	defer seed.Free()
	secret(labelLogKey, seed.Bytes())
	key, err := audit.NewLogKey(f.Suite(), audit.Origin(idText(f.VaultID)), seed.Bytes())
	if err != nil {
		return err
	}
	defer key.Wipe()
	if found := key.Verifier(); found != v.cfg.LogKey {
		return otherVault("log key", found, v.cfg.LogKey)
	}
	return nil
}

// otherVault returns the error for a vault other than the pinned one.
func otherVault(what, found, pinned string) error {
	return fmt.Errorf("%w: its %s is %.200q, and Config pins %.200q; put the right directory there, "+
		"or find out why it was exchanged", ErrWrongVault, what, found, pinned)
}

// recordHealedFiles records the root files that the store is about to replace or remove.
func (v *Vault) recordHealedFiles(tx *keystore.Tx, faults []keystore.RootFault) {
	for _, f := range faults {
		r := v.record(OpHealRootFile, v.cfg.Owner)
		r.Detail = map[string]string{"file": f.File, "fault": f.Fault}
		v.note(tx, r)
	}
}
