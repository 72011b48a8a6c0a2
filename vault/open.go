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

// Open opens the vault in dir by the first of the protectors that fits. Give those of
// devices first: one whose device was cleared or replaced is protected again when a later
// protector opens the vault, and that is recorded. A relative dir is resolved once, by the
// working directory of the moment.
//
// Open acts on no byte of a root file before its MAC holds under the root that a
// protector gave. Where root and root.copy differ, the one in force decides, whichever of
// them a protector opened first, and the other is healed; that is recorded as
// OpHealRootFile before it is done. ctx bounds the work that a passphrase costs, also
// while it is done, and Config.UnlockWork bounds the work for a file that is not yet
// authenticated.
//
// There is no read-only Open. ErrUnavailable is also returned for a directory that cannot
// be used: it belongs to another user, others may write to it, or it is on a read-only
// file system or one without locks; the text names path and remedy.
//
// Calls that no protector opened are on record from the next call on that succeeds, with
// their number and times as the file "refused" tells them, which is not authenticated.
//
// Errors: ErrNoVault, ErrWrongVault, ErrUnlock, ErrWrongDevice, ErrInUse, ErrCorrupt,
// ErrRolledBack, ErrStorageFull, ErrLockedMemory, ErrAuditUnavailable, ErrUnavailable,
// ErrInvalid where cfg names another edition than the vault's, ErrUnsupported where this
// process cannot have it, ErrSelfTest where its cryptography computes wrong results, and
// those of ctx.
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
	if _, err = v.candidates(dir); err != nil { // before the lock is written
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
	err = v.store.Commit(ctx, func(tx *keystore.Tx) error {
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
	_ = v.lock.RemoveBeside(refusedFile) // if it stays, it is on record once more
	for _, p := range unlocked.strangers {
		if err = v.heal(ctx, p, unlocked.root.Bytes()); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// unreadable returns ErrInvalid for a path that cannot be a directory's, which is the
// caller's mistake; other faults of a directory are not.
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
