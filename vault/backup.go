package vault

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/backupfile"
	"strongroom.example/vault/internal/record"
	"strongroom.example/vault/internal/rootunlock"
	"strongroom.example/vault/internal/tasks"
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
// error, discard the output. A backup can still decrypt the ciphertexts of material that is
// later destroyed in the vault: destroy the backup, or its protectors, together with the
// material.
//
// Errors:
//
//   - ErrInvalid for a nil writer.
//   - ErrInvalid, ErrTooLarge for protectors that Create would reject.
//   - ErrNotFound for an unknown BackupOptions.Since, and for one since which audit
//     records were lost. The vault knows its last 64 backups.
//   - ErrUnavailable around an error of w.
//   - ErrCorrupt, ErrDenied.
func (c Client) Backup(ctx context.Context, w io.Writer, o BackupOptions, protectors ...driver.Protector) (Backup, error) {
	protectors = slices.Clone(protectors)
	b, err := operate(ctx, c, request{op: OpBackup, onVault: true}, func(ctx context.Context, d *decision) (*backup, error) {
		b, err := c.vault.newBackup(ctx, w, o, protectors)
		if err != nil {
			return b, d.fail(ctx, err)
		}
		d.rec.Detail = map[string]string{"backup": b.ID, "protectors": rootunlock.Describe(b.header.Protectors)}
		if o.Since != "" {
			d.rec.Detail["since"] = o.Since
		}
		if err := d.commitLate(ctx, commitPlan{}); err != nil {
			return b, b.discard(ctx, err, protectors)
		}
		return b, nil
	}, (*backup).free)
	if err != nil {
		return Backup{}, err
	}
	defer b.free()
	// Outside the gate, because w may take long.
	if err := b.write(ctx, w); err != nil {
		return Backup{}, wrap(OpBackup, "", b.discard(ctx, err, protectors))
	}
	return b.Backup, wrap(OpBackup, "", b.keep(ctx))
}

// backup is a backup in progress.
type backup struct {
	storedBackup
	vault  *Vault
	since  keystore.Position
	header backupfile.Header
	key    *lockedmem.Buffer
}

// newBackup checks the arguments of Backup, generates the key of a backup and wraps it with
// the protectors. The caller frees the backup, also after an error.
func (v *Vault) newBackup(ctx context.Context, w io.Writer, o BackupOptions, protectors []driver.Protector) (b *backup, err error) {
	if w == nil {
		return nil, invalid("the writer is nil")
	}
	if err := rootunlock.Check(protectors, v.cfg.AcceptLossWithMachine); err != nil {
		return nil, err
	}
	b = &backup{vault: v}
	if o.Since != "" {
		base, err := v.backupBefore(ctx, o.Since)
		if err == nil && !v.store.Follows(base.Position) {
			err = fmt.Errorf("%w: audit records were lost since backup %s; make a full one", ErrNotFound, o.Since)
		}
		if err != nil {
			return b, err
		}
		b.since, b.header.Since = base.Position, base.ID
	}
	if b.key, err = v.arena.Alloc(rootunlock.RootSize); err != nil {
		return b, err
	}
	rand.Read(b.key.Bytes())
	entries, err := rootunlock.Protect(ctx, v.binding(), b.key.Bytes(), protectors)
	if err != nil {
		return b, err
	}
	if err := rootunlock.CheckWork(v.cfg.UnlockWork, v.binding(), protectors, entries); err != nil {
		return b, rootunlock.Discard(ctx, err, v.binding(), protectors, entries)
	}
	var id [16]byte
	rand.Read(id[:])
	b.Backup = Backup{ID: hex.EncodeToString(id[:]), Since: o.Since, Vault: v.ID(), Created: v.clock.Now().UTC()}
	b.header = backupfile.Header{ID: b.ID, Since: b.header.Since, Vault: v.id, Edition: v.cfg.Edition, Created: b.Created, Protectors: entries}
	return b, nil
}

// discard is rootunlock.Discard for a backup that failed with err.
func (b *backup) discard(ctx context.Context, err error, protectors []driver.Protector) error {
	return rootunlock.Discard(ctx, err, b.vault.binding(), protectors, b.header.Protectors)
}

// backupBefore returns the stored record of an earlier backup.
func (v *Vault) backupBefore(ctx context.Context, id string) (storedBackup, error) {
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 || strings.ToLower(id) != id {
		return storedBackup{}, fmt.Errorf("%w: backup %.80q; use the id that Backup returned", ErrNotFound, id)
	}
	b, err := record.Read[storedBackup](storeReader{v.store, ctx}, backupPath(id))
	return b, missing(err, "backup "+id+"; make a full one")
}

// write writes the backup to w.
func (b *backup) write(ctx context.Context, w io.Writer) error {
	header, err := b.header.Encode()
	if err != nil {
		return err
	}
	out, err := stream.NewWriter(w, stream.Suite(b.vault.suite), backupfile.Key{Header: header, Root: b.key})
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
		b, err := record.Read[storedBackup](tx, path)
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

// A BackupSchedule lets the vault write full backups to a directory by itself. The zero
// value schedules none.
type BackupSchedule struct {
	// Dir is the directory, which must exist and should be on another disk. Several vaults
	// may share it. The name of a backup holds its time by the vault's clock that never goes
	// back and that ignores a time of day in doubt (see Client.ConfirmTime).
	Dir string
	// Every is the time between two backups. 0 means a day.
	Every time.Duration
	// Keep is the number of the newest backups that are kept. 0 means 7.
	Keep int
	// KeepFor is the least time for which a backup is kept, regardless of Keep.
	KeepFor time.Duration
	// Protectors can each restore the backups, as those of Client.Backup. They are used for
	// as long as the vault is open.
	Protectors []driver.Protector
}

const (
	backupEvery = 24 * time.Hour
	backupKeep  = 7
	// backupRetry is the delay after a backup that failed.
	backupRetry = 5 * time.Minute
	backupTask  = tasks.Own + "backup"
)

func (s BackupSchedule) withDefaults(c Config) (BackupSchedule, error) {
	if s.Dir == "" {
		return BackupSchedule{}, nil
	}
	if s.Every < 0 || s.Keep < 0 || s.KeepFor < 0 {
		return s, invalid("a number in Config.Backup is less than 0")
	}
	s.Every, s.Keep = cmp.Or(s.Every, backupEvery), cmp.Or(s.Keep, backupKeep)
	s.Protectors = slices.Clone(s.Protectors)
	var err error
	if s.Dir, err = absolute(s.Dir); err != nil {
		return s, err
	}
	return s, rootunlock.Check(s.Protectors, c.AcceptLossWithMachine)
}

// savedBackups is the directory of the schedule.
func (v *Vault) savedBackups() backupfile.Directory {
	return backupfile.Directory{Path: v.cfg.Backup.Dir, Vault: v.ID()}
}

// openSchedule schedules the first backup: an interval after the newest one in the
// directory; or at once, if there is none or the interval is over.
func (v *Vault) openSchedule() {
	if v.cfg.Backup.Dir == "" {
		return
	}
	now := v.confirmedNow()
	all, err := v.savedBackups().List(now)
	v.setHealth(func(h *Health) {
		h.Backup.Err, h.Backup.Next = wrap(OpBackup, "", err), now
		if len(all) > 0 {
			h.Backup.Last, h.Backup.File = all[0].Created, all[0].Path
			if due := all[0].Created.Add(v.cfg.Backup.Every); due.After(now) {
				h.Backup.Next = due
			}
		}
		v.tasks.Schedule(backupTask, h.Backup.Next)
	})
}

// scheduledBackup makes a backup, removes old ones, and records a failure.
func (v *Vault) scheduledBackup(ctx context.Context) {
	made, err := v.saveBackup(ctx)
	if err != nil && ctx.Err() != nil {
		return // the vault closes
	}
	now := v.confirmedNow()
	next := now.Add(v.cfg.Backup.Every)
	if err != nil {
		next = now.Add(min(v.cfg.Backup.Every, backupRetry))
		d := v.ownBackup()
		d.rec.Detail = map[string]string{"schedule": "true"}
		err = d.fail(ctx, err)
	} else {
		err = v.savedBackups().RemoveOld(now, v.cfg.Backup.Keep, v.cfg.Backup.KeepFor)
	}
	v.setHealth(func(h *Health) {
		h.Backup.Next, h.Backup.Err = next, wrap(OpBackup, "", err)
		if made.Path != "" {
			h.Backup.Last, h.Backup.File = made.Created, made.Path
		}
	})
	v.tasks.Schedule(backupTask, next)
}

// ownBackup returns the decision on a backup that the vault makes by itself.
func (v *Vault) ownBackup() *decision {
	return v.ownDecision(request{op: OpBackup, onVault: true}, nil)
}

// saveBackup writes a backup to a file that has no final name until it was read back and
// is durable.
func (v *Vault) saveBackup(ctx context.Context) (made backupfile.Saved, err error) {
	s := v.cfg.Backup
	b, err := v.newBackup(ctx, io.Discard, BackupOptions{}, s.Protectors)
	defer b.free()
	if err != nil {
		return made, err
	}
	defer func() {
		if err != nil {
			err = b.discard(ctx, err, s.Protectors)
		}
	}()
	created, dir := v.confirmedNow(), v.savedBackups()
	d := v.ownBackup()
	d.rec.Detail = map[string]string{"backup": b.ID, "protectors": rootunlock.Describe(b.header.Protectors), "file": dir.Name(created), "schedule": "true"}
	if _, err := d.tryCommit(ctx, commitPlan{}); err != nil {
		return made, err
	}
	if err := b.writeFile(ctx, dir.Partial()); err != nil {
		return made, errors.Join(err, os.Remove(dir.Partial()))
	}
	if made, err = dir.Complete(created); made.Path == "" {
		return made, err
	}
	return made, errors.Join(err, b.keep(ctx))
}

// writeFile writes the backup to a file, makes it durable, and reads it back.
func (b *backup) writeFile(ctx context.Context, path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := errors.Join(b.write(ctx, f), f.Sync()); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in, err := stream.NewReader(f, func(header []byte) (stream.DataKey, error) { return backupfile.Key{Header: header, Root: b.key}, nil })
	if err != nil {
		return backupError(err)
	}
	defer in.Close()
	_, err = io.Copy(io.Discard, in)
	return backupError(err)
}
