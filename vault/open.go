package vault

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"

	"strongroom.example/driver"
	"strongroom.example/keystore"
)

// Open opens the vault in dir with the first of the protectors that fits. Give the
// protectors of devices first: if a later protector opens the vault, Open re-seals the root
// under each earlier protector whose device was cleared or replaced, and records that. A
// relative dir is resolved once, against the working directory at the time of the call.
//
// Open uses no byte of a root file before it has verified the file's MAC under the root
// that a protector returned. If root and root.copy differ, Open uses the newer one,
// whichever of them a protector opened first, and replaces the other; it records
// OpHealRootFile before it replaces the file. ctx also bounds the computation for a
// passphrase while it runs. Config.UnlockWork bounds the work for a file that is not yet
// authenticated.
//
// There is no read-only mode. Open also returns ErrUnavailable for a directory that cannot
// be used: it belongs to another user, others may write to it, or it is on a file system
// that is read-only or has no locks. The text names the path and the remedy.
//
// Calls that no protector could open are counted in the file "refused", and the next
// successful Open records their number and times. The file is not authenticated.
//
// Errors:
//
//   - ErrNoVault, ErrWrongVault, ErrInUse, ErrUnavailable: about the directory.
//   - ErrUnlock, ErrWrongDevice: no protector opens the vault.
//   - ErrCorrupt, ErrRolledBack: about the stored data.
//   - ErrStorageFull, ErrLockedMemory, ErrAuditUnavailable: a resource is missing.
//   - ErrInvalid: an argument is wrong, or cfg names another edition than the vault's.
//   - ErrUnsupported: this process cannot use the edition.
//   - ErrSelfTest: this process's cryptography computes wrong results.
//   - The error of ctx.
func Open(ctx context.Context, dir string, cfg Config, protectors ...driver.Protector) (*Vault, error) {
	if ctx == nil {
		return nil, wrap(OpOpenVault, "", errNoContext)
	}
	v, err := open(ctx, dir, cfg, slices.Clone(protectors))
	return v, wrap(OpOpenVault, "", err)
}

func open(ctx context.Context, dir string, cfg Config, protectors []driver.Protector) (_ *Vault, err error) {
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	if err = noneNil(protectors); err != nil {
		return nil, err
	}
	if dir, err = absolute(dir); err != nil {
		return nil, err
	}
	v := newVault(cfg)
	defer func() { v.abandon(err, (*keystore.DirLock).Unlock) }()
	if _, err = v.candidates(dir); err != nil { // before Lock writes to the directory
		return nil, unreadable(dir, err)
	}
	if v.lock, err = keystore.Lock(dir); err != nil {
		return nil, err
	}
	u := newUnlocker(v.arena, cfg.UnlockWork, protectors)
	defer u.free()
	unlocked, err := v.openStore(ctx, dir, u)
	if err != nil {
		if errors.Is(err, ErrUnlock) && len(protectors) > 0 {
			countRefusedOpen(v.lock, v.clock.Now())
		}
		return nil, err
	}
	if err = v.start(ctx); err != nil {
		return nil, err
	}
	opened := v.record(OpOpenVault, cfg.Owner)
	opened.Detail = editionDetail(cfg.Edition)
	opened.Detail["protector"] = unlocked.by
	refused, some := v.refusedRecord()
	err = v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
		v.markClock(tx)
		if some {
			v.note(tx, refused)
		}
		v.note(tx, opened)
		return nil
	})
	if err != nil {
		return nil, err
	}
	_ = v.lock.RemoveBeside(refusedFile) // if the file stays, the next Open records it again
	for _, p := range unlocked.strangers {
		if err = v.heal(ctx, p, unlocked.root.Bytes()); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// unreadable returns ErrInvalid for a path that cannot be that of a directory, because that
// is a mistake of the caller. It returns err for other faults of a directory.
func unreadable(dir string, err error) error {
	if info, statErr := os.Stat(dir); statErr == nil && !info.IsDir() {
		return invalid("%s is a file; a vault is a directory", dir)
	}
	for _, mistake := range []error{syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.ELOOP} {
		if errors.Is(err, mistake) {
			return invalid("%s cannot be a directory; choose one that can: %v", dir, mistake)
		}
	}
	return err
}
