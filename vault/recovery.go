package vault

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"strongroom.example/driver"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/backupfile"
	"strongroom.example/vault/internal/editionrules"
	"strongroom.example/vault/internal/record"
	"strongroom.example/vault/internal/rootunlock"
	"strongroom.example/vault/internal/usestore"
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
// device can be used if cfg has that device. Grants are those of the backup: revoke again a
// grant that was revoked or used since.
//
// A caller with the backups and a protector of theirs may restore; the Authorizer is not asked
// for a permission. But if its decision on RestoreVault demands approvals, the restored vault
// refuses all operations with ErrApproval, except reading its log, policies and protectors,
// until so many principals have called Approve.
//
// Errors: those of Create, and
//
//   - ErrWrongVault: Config.VaultID pins another vault. Restore does not check
//     Config.LogKey; Open does.
//   - ErrUnlock: unlock does not open a backup.
//   - ErrInvalid: the backups are not consecutive, or are of another edition.
//   - ErrCorrupt: a backup is truncated or changed.
//   - ErrUnavailable around an error of a reader.
//   - ErrDenied if the Authorizer fails.
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
	if err := rootunlock.Check(protectors, cfg.AcceptLossWithMachine); err != nil {
		return nil, err
	}
	if dir, err = absolute(dir); err != nil {
		return nil, err
	}
	v := newVault(cfg)
	defer func() { v.cleanUp(err, (*keystore.DirLock).Discard) }()
	saved, err := v.openBackups(ctx, from, unlock)
	defer saved.close()
	if err != nil {
		return nil, err
	}
	v.id = saved.last().Vault
	if cfg.VaultID != "" && cfg.VaultID != v.ID() {
		return nil, rootunlock.OtherVault("id", v.ID(), cfg.VaultID)
	}
	err = v.makeStore(ctx, dir, protectors, func(c keystore.Config, root keystore.Root) (*keystore.Store, error) {
		return keystore.Restore(ctx, c, root, saved.snapshots(), func(tx *keystore.Tx) error {
			r := v.record(OpRestoreVault, cfg.Owner)
			r.Detail = editionrules.Detail(cfg.Edition)
			r.Detail["protectors"] = rootunlock.Describe(root.Protectors)
			r.Detail["backup"] = saved.last().ID
			r.Detail["backups"] = strconv.Itoa(len(saved))
			v.appendAudit(tx, r)
			return errors.Join(usestore.NextSeries(tx), v.demandRestoreApprovals(ctx, tx))
		})
	})
	if err != nil {
		return nil, backupError(err)
	}
	return v, v.openRestored(ctx)
}

// backupChain is the sequence of backups that Restore reads.
type backupChain []backupReader

type backupReader struct {
	backupfile.Header
	reader *stream.Reader
}

func (s backupChain) last() backupfile.Header { return s[len(s)-1].Header }

// snapshots returns the readers of the backups' contents.
func (s backupChain) snapshots() (all []io.Reader) {
	for _, b := range s {
		all = append(all, b.reader)
	}
	return all
}

func (s backupChain) close() {
	for _, b := range s {
		b.reader.Close()
	}
}

// openBackups reads the headers of backups, and checks that each is based on the one before
// it.
func (v *Vault) openBackups(ctx context.Context, from []io.Reader, unlock driver.Protector) (saved backupChain, err error) {
	if err := rootunlock.CheckNoNil([]driver.Protector{unlock}); err != nil {
		return nil, err
	}
	if len(from) == 0 {
		return nil, invalid("no backups are given")
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

// checkLast checks that the last backup is based on the one before it: that it has the changes
// since that backup. The first one must be a full backup.
func (s backupChain) checkLast() error {
	last := s.last()
	switch {
	case len(s) == 1 && last.Since != "":
		return invalid("backup %s is based on backup %s; give all of them, beginning with a full one", last.ID, last.Since)
	case len(s) > 1 && last.Since != s[len(s)-2].ID:
		return invalid("backup %s is not based on the one before it, %s", last.ID, s[len(s)-2].ID)
	case last.Vault != s[0].Vault:
		return invalid("backup %s is of another vault than the first one", last.ID)
	}
	return nil
}

// openBackup reads the header of a backup, and opens the backup with unlock.
func (v *Vault) openBackup(ctx context.Context, r io.Reader, unlock driver.Protector) (b backupReader, err error) {
	u := rootunlock.New(v.arena, v.cfg.UnlockWork, []driver.Protector{unlock})
	defer u.Free()
	b.reader, err = stream.NewReader(r, func(header []byte) (stream.DataKey, error) {
		if b.Header, err = backupfile.Parse(header); err != nil {
			return nil, err
		}
		if b.Edition != v.cfg.Edition {
			return nil, invalid("the backup's edition is %v; Config.Edition says %v", b.Edition, v.cfg.Edition)
		}
		// No check is needed here: the stream itself is authenticated under the key.
		w := rootunlock.Wrapped{
			Binding: driver.Binding{VaultID: b.Vault, Edition: b.Edition}, Entries: b.Protectors,
			Authenticates: func([]byte) bool { return true },
		}
		how, err := u.Unlock(ctx, w)
		return backupfile.Key{Header: header, Root: how.Root}, err
	})
	return b, err
}

// backupError makes the errors of a damaged backup match ErrCorrupt.
func backupError(err error) error {
	if errors.Is(err, stream.ErrStream) || errors.Is(err, stream.ErrInvalid) {
		return fmt.Errorf("%w: the backup is truncated or changed; use another copy: %w", ErrCorrupt, err)
	}
	return err
}

// A RepairReport describes the result of a Repair.
type RepairReport struct {
	// Rebuilt is false if the engine was whole, and then it was not changed.
	Rebuilt bool
	// Fault is the error with which the vault did not open or check. It is nil if the vault
	// was whole. If Rebuilt is false, it is the fault of the journal, which was written again.
	Fault error
	// LostFrom and LostTo bound the audit records that are lost: LostFrom up to but not
	// including LostTo. They are equal if no record is lost. The audit log goes on with
	// record LostTo and the same tree.
	LostFrom, LostTo uint64
	// Checkpoint is a signed checkpoint of size LostTo, if records are lost. An export begins
	// there, and audit.VerifyExportFrom verifies it from this checkpoint on.
	Checkpoint []byte
	// FromJournal is true if the keys come from the journal, and false if they come from the
	// engine's files.
	FromJournal bool
	// SetAside is the path of the damaged engine directory, which Repair renamed. Remove it
	// when nothing in it is needed any more. It is empty if there was none.
	SetAside string
}

// Repair repairs a damaged vault. It opens the vault with the first of the protectors that
// fits, checks it as Check does, and, if that shows damage, rebuilds the store from the
// journal and from the files of the engine that are intact. Every change of keys, aliases,
// imports and protectors that was acknowledged is in the result. Material that was destroyed
// stays destroyed, and destructions that were interrupted are completed. Audit records that
// cannot be read are lost; the record RepairVault and the report name them. The vault is
// closed afterwards.
//
// Repair changes nothing in a vault that is whole. It renames the damaged engine directory
// and does not remove it. If Repair is killed, Open or Repair finishes its work. The store
// needs as much free disk space as it takes.
//
// Errors: those of Open, and
//
//   - ErrCorrupt, ErrRolledBack: the remaining files do not suffice; the text says why. Use
//     Restore with a backup. The vault is as it was.
func Repair(ctx context.Context, dir string, cfg Config, protectors ...driver.Protector) (RepairReport, error) {
	if ctx == nil {
		return RepairReport{}, wrap(OpRepairVault, "", errNoContext)
	}
	report, err := repair(ctx, dir, cfg, slices.Clone(protectors))
	return report, wrap(OpRepairVault, "", err)
}

func repair(ctx context.Context, dir string, cfg Config, protectors []driver.Protector) (_ RepairReport, err error) {
	if dir, err = absolute(dir); err != nil {
		return RepairReport{}, err
	}
	var done keystore.RepairReport
	v, u, _, err := unlockAt(ctx, dir, cfg, protectors, &done)
	if err != nil {
		return RepairReport{Fault: done.Fault}, err
	}
	u.Free()
	if !done.Rebuilt {
		v.wipe()
		return RepairReport{Fault: translate(done.Fault)}, v.closeStore((*keystore.DirLock).Unlock)
	}
	if err := v.start(ctx); err != nil { // completes what was interrupted
		v.cleanUp(err, (*keystore.DirLock).Unlock)
		return RepairReport{}, err
	}
	report := RepairReport{Rebuilt: true, Fault: translate(done.Fault), LostFrom: done.LostFrom, LostTo: done.LostTo, FromJournal: done.FromJournal}
	if done.SetAside != "" {
		report.SetAside = filepath.Join(dir, done.SetAside)
	}
	if done.LostFrom < done.LostTo {
		report.Checkpoint, err = v.log.Checkpoint(keystore.LogState{Size: done.LostTo, Root: done.LogRoot})
	}
	if closeErr := v.Close(); err == nil {
		err = closeErr
	}
	return report, err
}

// recordRepair stages the audit record of a repair.
func (v *Vault) recordRepair(tx *keystore.Tx, done keystore.RepairReport) {
	r := v.record(OpRepairVault, v.cfg.Owner)
	source := "engine"
	if done.FromJournal {
		source = "journal"
	}
	r.Detail = map[string]string{
		"source": source, "fault": errorName(translate(done.Fault)),
		"size": strconv.FormatUint(done.LostTo, 10), "root": base64.StdEncoding.EncodeToString(done.LogRoot[:]),
	}
	if done.LostFrom < done.LostTo {
		r.Detail["lost_from"] = strconv.FormatUint(done.LostFrom, 10)
		r.Detail["lost_to"] = strconv.FormatUint(done.LostTo, 10)
	}
	v.appendAudit(tx, r)
	_ = usestore.NextSeries(tx) // if the record is not readable, Open fails with ErrCorrupt
}

// restoration is stored in a vault that was restored.
type restoration struct {
	// Time is when it was restored. Approvals from before do not count, because they may have
	// been used up since the backup.
	Time time.Time `json:"time"`
	// Approvals is how many approvals the vault waits for, and Within for how long; 0 if it can
	// be used.
	Approvals int           `json:"approvals,omitempty"`
	Within    time.Duration `json:"within,omitempty"`
}

const restorePath = "restore"

// whileRestoring are the operations of a restored vault that waits for approvals.
var whileRestoring = []Operation{OpApprove, OpListApprovals, OpWithdrawApproval, OpReadAudit, OpExportAudit, OpReadPolicy, OpExplainPolicy, OpListProtectors, OpCheck}

// restorationIn reads the last restoration; the zero value if there was none.
func restorationIn(r reader) (last restoration, err error) {
	return record.ReadIf[restoration](r, restorePath)
}

// restoredBy sets the time of the last restoration back to now if it is later, because
// approvals from before it do not count.
func restoredBy(tx *keystore.Tx, now time.Time) error {
	last, err := restorationIn(tx)
	if err != nil || !last.Time.After(now) {
		return err
	}
	last.Time = now
	tx.Put(restorePath, encode(last))
	return nil
}

// deleteApprovals deletes all approvals. Those that no longer count would otherwise leave no
// room for others.
func deleteApprovals(tx *keystore.Tx) {
	for _, path := range tx.Paths(approvals) {
		tx.Delete(path)
	}
}

// openRestored reads whether the vault waits for approvals.
func (v *Vault) openRestored(ctx context.Context) error {
	last, err := restorationIn(storeReader{v.store, ctx})
	v.restoring.Store(last.Approvals > 0)
	return err
}

// demandRestoreApprovals stores the restoration, and that the vault waits if the Authorizer
// demands approvals of RestoreVault.
func (v *Vault) demandRestoreApprovals(ctx context.Context, tx *keystore.Tx) error {
	by := v.cfg.Authorizer
	if n, err := policyInTx(tx); err != nil {
		return err
	} else if n.Number > 0 && v.cfg.Policies != nil {
		document, err := policyText(tx, n)
		if err != nil {
			return err
		}
		if by, err = v.cfg.Policies.Compile(document); err != nil {
			return fmt.Errorf("%w: the policies of the backup: %w", ErrInvalid, err)
		}
	}
	now := v.clock.Now().UTC()
	d, err := by.Authorize(ctx, Request{Principal: v.cfg.Owner, Operation: OpRestoreVault, Time: now})
	if err != nil {
		return fmt.Errorf("%w: %w", errAuthorizer, err)
	}
	deleteApprovals(tx)
	tx.Put(restorePath, encode(restoration{now, max(0, d.Approvals), window(d.Within)}))
	return nil
}

// errRestoring reports an operation that has to wait.
var errRestoring = fmt.Errorf("%w: the vault was restored, and is used once other principals have approved %s", ErrApproval, OpRestoreVault)

// approveRestore ends the wait of a restored vault if an approval, which is stored already, is
// the last one. It reports whether the vault can be used.
func (v *Vault) approveRestore(tx *keystore.Tx, last storedApproval) (bool, error) {
	p, err := restorationIn(tx)
	if err != nil {
		return false, err
	}
	if p.Approvals == 0 {
		return false, fmt.Errorf("%w: a restored vault that waits for approvals", ErrNotFound)
	}
	if last.Time.Sub(p.Time) > p.Within {
		return false, fmt.Errorf("%w: the time for approvals ended %v after the restoration; restore the vault again", ErrApproval, p.Within)
	}
	need := approvalNeed{Approval: last.Approval, count: p.Approvals, within: maxWithin}
	who, paths, err := v.approvers(tx, need, v.cfg.Owner)
	if err != nil || len(who) < p.Approvals {
		return false, err
	}
	for _, path := range paths {
		tx.Delete(path)
	}
	p.Approvals, p.Within = 0, 0
	tx.Put(restorePath, encode(p))
	return true, nil
}
