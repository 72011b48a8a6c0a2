package vault

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/keystore"
	"strongroom.example/vault/stream"
)

// backupsKept is the number of past backups on which a new one can be based.
const backupsKept = 64

// BackupOptions select the contents of a backup.
type BackupOptions struct {
	// Since is the id of an earlier backup of this vault. The new backup then holds only the
	// changes since that one, and Restore needs both. Empty means a full backup.
	Since string
}

// Backup describes a backup.
type Backup struct {
	// ID identifies the backup. Since is the id of the backup on which it is based, or
	// empty.
	ID    string `json:"id"`
	Since string `json:"since,omitempty"`
	// Vault is the id of the vault that was backed up.
	Vault   string    `json:"vault"`
	Created time.Time `json:"created"`
	// Generation is the store's generation number at the end of the backup.
	Generation uint64 `json:"generation"`
	// AuditSize and AuditRoot are the size and the root hash of the tree of the audit log in
	// the backup. A checkpoint of the same size has the same root.
	AuditSize uint64 `json:"audit_size"`
	AuditRoot []byte `json:"audit_root"`
}

// storedBackup is the record of a backup in the vault, with the data that a backup based on
// it needs.
type storedBackup struct {
	Backup
	Position keystore.Position `json:"position"`
}

func backupPath(id string) string { return backups + id }

const backups = "backup/"

// Backup writes a copy of the vault to w while the vault is in use: keys, audit log and
// settings, as they are at the end of the call. The copy is encrypted to the given
// protectors, any one of which can restore it; they need not be protectors of the vault.
// Backup verifies every record before it writes it. The copy does not hold material that
// only a device has.
//
// The audit record of the operation is durable before anything is written to w. After an
// error, discard what was written. A backup can still decrypt the ciphertexts of material
// that is later destroyed in the vault: destroy the backup, or its protectors, together
// with the material.
//
// Errors:
//
//   - ErrInvalid for a nil writer.
//   - ErrInvalid, ErrTooLarge for protectors that Create would reject.
//   - ErrNotFound for an unknown BackupOptions.Since. The vault knows its last 64
//     backups.
//   - ErrUnavailable around an error of w.
//   - ErrCorrupt, ErrDenied.
func (c Client) Backup(ctx context.Context, w io.Writer, o BackupOptions, protectors ...driver.Protector) (Backup, error) {
	protectors = slices.Clone(protectors)
	var b *backup
	err := c.onVault(ctx, request{op: OpBackup}, func(ctx context.Context, e *entry) (err error) {
		e.askAgain = true
		b.free()
		if w == nil {
			return invalid("the writer is nil")
		}
		if err := checkProtectors(c.vault.cfg, protectors); err != nil {
			return err
		}
		if b, err = c.vault.newBackup(ctx, o, protectors); err != nil {
			return err
		}
		e.rec.Detail = map[string]string{"backup": b.ID, "protectors": listed(b.header.protectors)}
		if o.Since != "" {
			e.rec.Detail["since"] = o.Since
		}
		return nil
	})
	defer b.free()
	if err != nil {
		return Backup{}, err
	}
	// Outside the gate, because w may take long.
	if err := b.write(ctx, w); err != nil {
		return Backup{}, wrap(OpBackup, "", err)
	}
	return b.Backup, wrap(OpBackup, "", b.keep(ctx))
}

// backup is a backup in progress.
type backup struct {
	storedBackup
	vault  *Vault
	since  keystore.Position
	header backupHeader
	key    *lockedmem.Buffer
}

// newBackup generates the key of a backup and wraps it with the protectors.
func (v *Vault) newBackup(ctx context.Context, o BackupOptions, protectors []driver.Protector) (b *backup, err error) {
	b = &backup{vault: v}
	defer func() {
		if err != nil {
			b.free()
		}
	}()
	if o.Since != "" {
		base, err := v.backupBefore(ctx, o.Since)
		if err != nil {
			return nil, err
		}
		b.since, b.header.since = base.Position, base.ID
	}
	if b.key, err = v.arena.Alloc(rootSize); err != nil {
		return nil, err
	}
	rand.Read(b.key.Bytes())
	entries, err := protectAll(ctx, v.binding(), b.key.Bytes(), protectors)
	if err != nil {
		return nil, err
	}
	if err := checkWork(v.cfg, v.binding(), protectors, entries); err != nil {
		return nil, err
	}
	var id [16]byte
	rand.Read(id[:])
	b.Backup = Backup{ID: hex.EncodeToString(id[:]), Since: o.Since, Vault: v.ID(), Created: v.clock.Now().UTC()}
	b.header = backupHeader{id: b.ID, since: b.header.since, vault: v.id, edition: v.cfg.Edition, created: b.Created, protectors: entries}
	return b, nil
}

// backupBefore returns the stored record of an earlier backup.
func (v *Vault) backupBefore(ctx context.Context, id string) (storedBackup, error) {
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 || strings.ToLower(id) != id {
		return storedBackup{}, fmt.Errorf("%w: backup %.80q; its id is in what Backup returned", ErrNotFound, id)
	}
	r, err := v.store.Get(ctx, backupPath(id))
	if err != nil {
		return storedBackup{}, missing(err, "backup "+id+"; make a full one")
	}
	return decode[storedBackup](backupPath(id), r.Value)
}

// write writes the backup to w.
func (b *backup) write(ctx context.Context, w io.Writer) error {
	header, err := b.header.encode()
	if err != nil {
		return err
	}
	out, err := stream.NewWriter(w, stream.Suite(b.vault.suite), backupKey{header, b.key})
	if err != nil {
		return err
	}
	defer out.Close()
	if b.Position, err = b.vault.store.Snapshot(ctx, out, b.since); err != nil {
		return err
	}
	b.Generation, b.AuditSize, b.AuditRoot = b.Position.Generation, b.Position.Log.Size, b.Position.Log.Root[:]
	return out.Close()
}

// keep stores the record on which a later backup can be based.
func (b *backup) keep(ctx context.Context) error {
	v := b.vault
	if err := v.enter(); err != nil {
		return err
	}
	defer v.leave()
	return v.store.Commit(ctx, func(tx *keystore.Tx) error {
		tx.Put(backupPath(b.ID), encode(b.storedBackup))
		return v.forgetBackups(tx)
	})
}

// forgetBackups removes the oldest backup records beyond the limit.
func (v *Vault) forgetBackups(tx *keystore.Tx) error {
	var all []storedBackup
	for _, path := range v.store.Paths(backups) {
		r, err := tx.Get(path)
		if err != nil {
			return err
		}
		b, err := decode[storedBackup](path, r.Value)
		if err != nil {
			return err
		}
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b storedBackup) int { return a.Created.Compare(b.Created) })
	for _, b := range all[:max(0, len(all)-backupsKept+1)] {
		tx.Delete(backupPath(b.ID))
	}
	return nil
}

func (b *backup) free() {
	if b != nil && b.key != nil {
		b.key.Free()
		b.key = nil
	}
}
