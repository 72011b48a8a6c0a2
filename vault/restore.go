package vault

import (
	"context"
	"io"
	"strconv"

	"strongroom.example/driver"
	"strongroom.example/keystore"
	"strongroom.example/vault/stream"
)

// Restore makes a vault in dir from backups and opens it. The first backup is a full one,
// and each other is based on the one before it. unlock opens all of them. The vault has its
// former id, keys and audit log, and the protectors given here. The log records the
// restoration. Restore makes dir if it does not exist; an existing dir must not hold a
// vault.
//
// The generation of the restored vault is higher than that of the original, so that a copy
// of one directory is never accepted as a later state of the other. Keys that live in a
// device can be used if cfg has that device.
//
// Errors: those of Create, and
//
//   - ErrWrongVault: Config.VaultID pins another vault. Restore does not check
//     Config.LogKey; Open does.
//   - ErrUnlock: unlock does not open a backup.
//   - ErrInvalid: the backups are not consecutive, or are of another edition.
//   - ErrCorrupt: a backup is truncated or changed.
//   - ErrUnavailable around an error of a reader.
func Restore(ctx context.Context, dir string, cfg Config, from []io.Reader, unlock driver.Protector, protectors ...driver.Protector) (*Vault, error) {
	if ctx == nil {
		return nil, wrap(OpRestoreVault, "", errNoContext)
	}
	v, err := restoreFrom(ctx, dir, cfg, from, unlock, protectors)
	return v, wrap(OpRestoreVault, "", err)
}

func restoreFrom(ctx context.Context, dir string, cfg Config, from []io.Reader, unlock driver.Protector, protectors []driver.Protector) (_ *Vault, err error) {
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	if err := checkProtectors(cfg, protectors); err != nil {
		return nil, err
	}
	if dir, err = absolute(dir); err != nil {
		return nil, err
	}
	v := newVault(cfg)
	defer func() { v.abandon(err, (*keystore.DirLock).Discard) }()
	saved, err := v.openBackups(ctx, from, unlock)
	defer saved.close()
	if err != nil {
		return nil, err
	}
	v.id = saved.last().vault
	if cfg.VaultID != "" && cfg.VaultID != v.ID() {
		return nil, otherVault("id", v.ID(), cfg.VaultID)
	}
	err = v.makeStore(ctx, dir, protectors, func(c keystore.Config, root keystore.Root) (*keystore.Store, error) {
		return keystore.Restore(ctx, c, root, saved.snapshots(), func(tx *keystore.Tx) error {
			r := v.record(OpRestoreVault, cfg.Owner)
			r.Detail = editionDetail(cfg.Edition)
			r.Detail["protectors"] = listed(root.Protectors)
			r.Detail["backup"] = saved.last().id
			r.Detail["backups"] = strconv.Itoa(len(saved))
			v.note(tx, r)
			return nil
		})
	})
	if err != nil {
		return nil, backupError(err)
	}
	return v, nil
}

// savedVault is the sequence of backups that Restore reads.
type savedVault []openBackup

type openBackup struct {
	backupHeader
	reader *stream.Reader
}

func (s savedVault) last() backupHeader { return s[len(s)-1].backupHeader }

// snapshots returns the readers of the backups' contents.
func (s savedVault) snapshots() (all []io.Reader) {
	for _, b := range s {
		all = append(all, b.reader)
	}
	return all
}

func (s savedVault) close() {
	for _, b := range s {
		b.reader.Close()
	}
}

// openBackups reads the headers of backups, and checks that each is based on the one before
// it.
func (v *Vault) openBackups(ctx context.Context, from []io.Reader, unlock driver.Protector) (saved savedVault, err error) {
	if err := noneNil([]driver.Protector{unlock}); err != nil {
		return nil, err
	}
	if len(from) == 0 {
		return nil, invalid("there is no backup to restore")
	}
	for i, r := range from {
		if r == nil {
			return saved, invalid("backup %d of %d is nil", i+1, len(from))
		}
		b, err := v.openBackup(ctx, r, unlock)
		if err != nil {
			return saved, backupError(err)
		}
		saved = append(saved, b)
		if err := saved.checkLast(); err != nil {
			return saved, err
		}
	}
	return saved, nil
}

// checkLast checks that the last backup is based on the one before it.
func (s savedVault) checkLast() error {
	last := s.last()
	switch {
	case len(s) == 1 && last.since != "":
		return invalid("backup %s is based on backup %s; give all of them, from a full one on", last.id, last.since)
	case len(s) > 1 && last.since != s[len(s)-2].id:
		return invalid("backup %s is not based on the one before it, %s", last.id, s[len(s)-2].id)
	case last.vault != s[0].vault:
		return invalid("backup %s is of another vault than the first one", last.id)
	}
	return nil
}

// openBackup reads the header of a backup, and opens the backup with unlock.
func (v *Vault) openBackup(ctx context.Context, r io.Reader, unlock driver.Protector) (b openBackup, err error) {
	u := newUnlocker(v.arena, v.cfg.UnlockWork, []driver.Protector{unlock})
	defer u.free()
	b.reader, err = stream.NewReader(r, func(header []byte) (stream.DataKey, error) {
		if b.backupHeader, err = parseBackupHeader(header); err != nil {
			return nil, err
		}
		if b.edition != v.cfg.Edition {
			return nil, invalid("the backup's edition is %v; Config.Edition says %v", b.edition, v.cfg.Edition)
		}
		// No check is needed here: the stream itself is authenticated under the key.
		w := wrappedRoot{driver.Binding{VaultID: b.vault, Edition: b.edition}, b.protectors, func([]byte) bool { return true }}
		how, err := u.unlock(ctx, w)
		return backupKey{header, how.root}, err
	})
	return b, err
}
