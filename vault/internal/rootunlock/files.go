package rootunlock

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"strongroom.example/keystore"
	"strongroom.example/vault/internal/fault"
)

// errNewerRoot makes OpenStore open the store again with a root that it did not know before.
var errNewerRoot = errors.New("another root file is newer than the one in force")

// OpenStore unlocks root files one by one, until open opens the store with one of them. It
// sorts files by the work that they demand, so that a file that an attacker made expensive
// is tried last. It calls open again for each further root that was recovered.
func (u *Unlocker) OpenStore(ctx context.Context, files []*keystore.Root, open func(f *keystore.Root) error) error {
	slices.SortStableFunc(files, func(a, b *keystore.Root) int {
		return cmp.Compare(u.Work(WrappedIn(a)), u.Work(WrappedIn(b)))
	})
	var locked []error
	var broken error // first error of the store
	tried := 0       // number of roots tried with open
	for _, f := range files {
		if u.RootOf(f) == nil {
			if _, err := u.Unlock(ctx, WrappedIn(f)); err != nil {
				locked = append(locked, err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		for u.RootOf(f) != nil && len(u.roots) > tried {
			tried = len(u.roots)
			err := open(f)
			if err == nil || !mayBeOther(err) && !errors.Is(err, errNewerRoot) {
				return err
			}
			if !errors.Is(err, errNewerRoot) {
				broken = cmp.Or(broken, err)
			}
		}
	}
	return cmp.Or(broken, errors.Join(locked...))
}

// mayBeOther reports whether a store that failed to open with one root file may open with
// another, because the first is of another time or vault.
func mayBeOther(err error) bool {
	for _, other := range []error{keystore.ErrRolledBack, keystore.ErrCorrupt, fault.ErrUnlock, fault.ErrWrongVault} {
		if errors.Is(err, other) {
			return true
		}
	}
	return false
}

// CheckNewest tries to unlock files that claim to be newer than the one in force and have
// another root. If one of them unlocks, it is the new file of an interrupted RotateRoot, or
// the store is from an earlier time: CheckNewest then returns an error with which OpenStore
// opens the store again, and keystore.Open distinguishes the two. Because the file may be
// forged, the work for it is bounded by limit and by the work that the file in force demands.
func (u *Unlocker) CheckNewest(ctx context.Context, inForce *keystore.Root, files []*keystore.Root, limit uint64) error {
	u.Limit = min(limit, 2*u.Work(WrappedIn(inForce))+1000)
	for _, f := range files {
		if f.Generation <= inForce.Generation || f.VaultID != inForce.VaultID || u.RootOf(f) != nil {
			continue
		}
		if _, err := u.Unlock(ctx, WrappedIn(f)); err == nil {
			return errNewerRoot
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
