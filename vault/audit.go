package vault

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strconv"
	"time"

	"strongroom.example/audit"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/auditlog"
	"strongroom.example/vault/internal/inputtext"
	"strongroom.example/vault/internal/intentrecords"
	"strongroom.example/vault/internal/tasks"
)

// AuditRecords returns an iterator over the audit records that match f, the oldest first,
// up to but not including the record of this reading. It first writes the failures that
// were only counted so far, so that they are included. An error is yielded once and ends
// the iteration. ErrCorrupt names the damaged record.
func (c Client) AuditRecords(ctx context.Context, f audit.Filter) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		var first uint64
		size, err := useVault(ctx, c, request{op: OpReadAudit}, func(context.Context, *decision) (uint64, error) {
			c.vault.writeCounts(c.vault.failures.All())
			first = c.vault.store.LogFirst().Size
			return c.vault.store.LogState().Size, nil
		}, nil)
		if err != nil {
			yield(audit.Record{}, err)
			return
		}
		// Outside the gate, because the loop body may take long, use the vault or close it.
		for r, err := range auditlog.Records(ctx, c.vault.store, first, size) {
			if err != nil {
				yield(audit.Record{}, wrap(OpReadAudit, "", err))
				return
			}
			if f.Match(r) && !yield(r, nil) {
				return
			}
		}
	}
}

// maxLastRecords is the largest number of records that LastAuditRecords returns.
const maxLastRecords = 1000

// LastAuditRecords returns the last n audit records, 1 to 1000, the oldest first, up to but
// not including the record of this reading. It returns fewer if the log has fewer. Unlike
// AuditRecords it takes as long for a long log as for a short one. Errors: ErrInvalid for n;
// ErrCorrupt; ErrDenied.
func (c Client) LastAuditRecords(ctx context.Context, n int) ([]audit.Record, error) {
	q := request{op: OpReadAudit}
	if n < 1 || n > maxLastRecords {
		return nil, c.argumentError(ctx, q, invalid("the number of audit records is %d, and must be 1 to %d", n, maxLastRecords))
	}
	return useVault(ctx, c, q, func(ctx context.Context, _ *decision) (out []audit.Record, err error) {
		v := c.vault
		v.writeCounts(v.failures.All())
		size := v.store.LogState().Size
		first := max(v.store.LogFirst().Size, size-min(size, uint64(n)))
		for r, err := range auditlog.Records(ctx, v.store, first, size) {
			if err != nil {
				return nil, err
			}
			out = append(out, r)
		}
		return out, nil
	}, nil)
}

// ExportAudit writes the log as JSON lines, including the record of this export: the whole
// log, or after CutAudit the records that are kept, or those behind the last that was lost
// before a Repair; ExportAuditBefore exports the earlier ones. audit.VerifyExport, or any
// program that implements RFC 6962 and signed notes, verifies the export offline with
// LogKey; after CutAudit, audit.VerifyExportFrom with AuditCut, and after a loss with
// RepairReport.Checkpoint. After an error, discard the output. Errors: ErrClosed if the
// vault was closed during the export, ErrAuditCut if the records were removed during it;
// ErrUnavailable around an error of w.
func (c Client) ExportAudit(ctx context.Context, w io.Writer) error {
	_, err := useVault(ctx, c, request{op: OpExportAudit}, func(context.Context, *decision) (struct{}, error) {
		if w == nil {
			return struct{}{}, invalid("the writer is nil")
		}
		c.vault.writeCounts(c.vault.failures.All())
		return struct{}{}, nil
	}, nil)
	if err != nil {
		return err
	}
	v := c.vault
	return wrap(OpExportAudit, "", v.writeExport(ctx, w, v.store.LogUnbroken(), v.store.LogState()))
}

// ExportAuditBefore is ExportAudit for the records before the given one. They begin with the
// first record that is kept, or behind the last that was lost before a Repair. With
// RepairReport.LostFrom it exports the records before the lost ones, which ExportAudit leaves
// out. Errors, beside those of ExportAudit: ErrInvalid if there is no record before it or it
// is beyond the end of the log, ErrAuditLost and ErrAuditCut if the record before it was lost
// or removed.
func (c Client) ExportAuditBefore(ctx context.Context, w io.Writer, before uint64) error {
	v := c.vault
	type part struct{ first, end keystore.LogState }
	p, err := useVault(ctx, c, request{op: OpExportAudit}, func(ctx context.Context, d *decision) (p part, err error) {
		if w == nil {
			return p, invalid("the writer is nil")
		}
		d.rec.Detail = map[string]string{"before": strconv.FormatUint(before, 10)}
		for _, g := range v.store.LogGaps() {
			if g.After.Size < before {
				p.first = g.After
			} else if g.From < before {
				return p, g.Err()
			}
		}
		p.end, err = auditlog.StateAt(ctx, v.store, before)
		return p, err
	}, nil)
	if err != nil {
		return err
	}
	return wrap(OpExportAudit, "", v.writeExport(ctx, w, p.first, p.end))
}

// writeExport writes the records between two states of the log. It runs outside the gate,
// because w may take long.
func (v *Vault) writeExport(ctx context.Context, w io.Writer, first, end keystore.LogState) error {
	notes, err := v.checkpoints(ctx, first.Size, end)
	if err != nil {
		return err
	}
	header := audit.Export{Vault: v.ID(), Suite: audit.Suite(v.suite), LogKey: v.LogKey(), First: first.Size, Frontier: first.Frontier}
	return auditlog.WriteExport(ctx, w, v.store, header, end.Size, notes)
}

// checkpoints returns the checkpoints of an export.
func (v *Vault) checkpoints(ctx context.Context, from uint64, end keystore.LogState) ([][]byte, error) {
	if err := v.enter(); err != nil {
		return nil, err
	}
	defer v.leave()
	return v.log.Checkpoints(ctx, v.store, from, end)
}

// Check verifies all stored data: every record, the record count and digest, and the whole
// log against its tree, head, tip and root file. ErrCorrupt or ErrRolledBack names the
// fault.
func (c Client) Check(ctx context.Context) error {
	_, err := useVault(ctx, c, request{op: OpCheck}, func(ctx context.Context, _ *decision) (struct{}, error) {
		return struct{}{}, errors.Join(c.vault.store.Check(ctx), c.vault.checkCut(ctx))
	}, nil)
	return err
}

// AuditCheckpoint returns a signed checkpoint over all audit records, that of this call
// included.
func (c Client) AuditCheckpoint(ctx context.Context) ([]byte, error) {
	_, err := useVault(ctx, c, request{op: OpReadAudit}, func(context.Context, *decision) (struct{}, error) { return struct{}{}, nil }, nil)
	if err != nil {
		return nil, err
	}
	v := c.vault
	if err := v.enter(); err != nil {
		return nil, wrap(OpReadAudit, "", err)
	}
	defer v.leave()
	text, err := v.log.Checkpoint(v.store.LogState())
	return text, wrap(OpReadAudit, "", err)
}

// AuditInclusion returns a proof that record seq is in the log of the given size, for
// audit.Tree.VerifyInclusion with a checkpoint of that size. Errors: ErrInvalid if the
// record is not in a log of that size, or the log is smaller; ErrAuditCut if the record was
// removed, ErrAuditLost if records that the proof needs were lost before a Repair.
func (c Client) AuditInclusion(ctx context.Context, seq, size uint64) ([][32]byte, error) {
	return c.proof(ctx, size, func(n audit.Nodes) ([][32]byte, error) { return c.vault.log.Tree.Inclusion(n, seq, size) })
}

// AuditConsistency returns a proof that the log of size from is the beginning of the log of
// size to, for audit.Tree.VerifyConsistency with two checkpoints. Errors: ErrInvalid if
// from is greater than to, or the log is smaller than to; ErrAuditCut if the proof needs
// records that were removed, because from is before the cut, and ErrAuditLost if it needs
// records that were lost before a Repair.
func (c Client) AuditConsistency(ctx context.Context, from, to uint64) ([][32]byte, error) {
	return c.proof(ctx, to, func(n audit.Nodes) ([][32]byte, error) { return c.vault.log.Tree.Consistency(n, from, to) })
}

// proof makes a proof in a tree of the given size.
func (c Client) proof(ctx context.Context, size uint64, from func(audit.Nodes) ([][32]byte, error)) ([][32]byte, error) {
	return useVault(ctx, c, request{op: OpReadAudit}, func(ctx context.Context, _ *decision) ([][32]byte, error) {
		v := c.vault
		if has := v.store.LogState().Size; size > has {
			return nil, invalid("the log has %d records, not %d", has, size)
		}
		return from(v.log.Nodes(ctx, v.store))
	}, nil)
}

// auditCutPath is the path of the newest signed cut.
const auditCutPath = "audit-cut"

// A CutRequest names the audit records that CutAudit removes, and their export. Exactly
// one of Export and Exported is set.
type CutRequest struct {
	// Before is the Seq of the first record that stays.
	Before uint64
	// Export receives an export of the records, which CutAudit writes before it removes
	// anything. The export needs the permission for OpExportAudit too, and is recorded. If
	// Export has a method Sync() error, as a file does, CutAudit calls it.
	Export io.Writer
	// Exported is the Report of audit.VerifyExport or audit.VerifyExportFrom for an export that
	// the caller has stored. It must end with record Before-1, and begin with the first record
	// of the log or an earlier one. CutAudit compares its size and root with the log; its
	// digest goes into the cut.
	Exported *audit.Report
}

// CutAudit removes the audit records before q.Before from the vault, and returns a signed
// cut, which audit.OpenCut reads. The vault keeps the newest cut too (see AuditCut), and
// the record of this operation contains it. Keep the cut together with the export: the
// rest of the log verifies from it with audit.VerifyExportFrom, and an export of the
// removed records followed by one of the rest verifies as one.
//
// The cut is durable before anything is removed. Checkpoints that were signed before
// verify as before, and AuditInclusion and AuditConsistency give the proofs that need no
// removed record. If the disk space cannot be released at once, the vault does that in the
// background.
//
// Errors:
//
//   - ErrInvalid: both or neither of Export and Exported are set, there is no record to
//     remove, q.Before is beyond the end of the log, or Exported does not fit the log. The
//     text names the mismatch. Nothing was removed.
//   - ErrUnavailable around an error of q.Export. Nothing was removed.
//   - ErrAuditLost: q.Before is within a range of records that were lost before a Repair,
//     or, with Export, behind one that has records before it. Cut the log before the range
//     first; the next cut is then of the records behind it. Nothing was removed.
//   - ErrCorrupt: the log does not match its tree. Nothing was removed.
//   - ErrDenied.
func (c Client) CutAudit(ctx context.Context, q CutRequest) (cut []byte, err error) {
	if (q.Export == nil) == (q.Exported == nil) {
		return nil, c.argumentError(ctx, request{op: OpCutAudit, onVault: true}, invalid("set one of CutRequest.Export and CutRequest.Exported"))
	}
	if q.Export != nil {
		if q.Exported, err = c.exportBefore(ctx, q.Export, q.Before); err != nil {
			return nil, err
		}
	}
	given := *q.Exported
	v := c.vault
	err = c.do(ctx, request{op: OpCutAudit, onVault: true}, func(ctx context.Context, d *decision) error {
		at, err := auditlog.StateAt(ctx, v.store, q.Before)
		if err == nil {
			err = v.log.CheckExported(v.store, given, at)
		}
		if err == nil {
			err = v.uses.SaveAfter(ctx, 0) // the uses on the records that the cut removes
		}
		if err != nil {
			return d.fail(ctx, err)
		}
		// Late, because computing the tree may take long.
		return d.commitLate(ctx, commitPlan{
			commit: func(ctx context.Context, op func(*keystore.Tx) error) error { return v.store.CutLog(ctx, at, op) },
			change: func(tx *keystore.Tx) (err error) {
				if err := v.log.CheckExported(v.store, given, at); err != nil {
					return err
				}
				if cut, err = v.log.SignCut(audit.Cut{Export: given.Digest, Principal: string(c.principal), Time: v.clock.Now().UTC()}, v.store, at); err != nil {
					return err
				}
				tx.Put(auditCutPath, cut)
				d.rec.Detail = map[string]string{"before": strconv.FormatUint(at.Size, 10), "cut": string(cut)}
				return intentrecords.KeepSeqs(ctx, tx, v.store, at.Size)
			},
		})
	})
	if err != nil {
		return nil, err
	}
	v.trimAudit(context.WithoutCancel(ctx))
	return cut, nil
}

// exportBefore writes the export of all records before size.
func (c Client) exportBefore(ctx context.Context, w io.Writer, size uint64) (*audit.Report, error) {
	v := c.vault
	at, err := useVault(ctx, c, request{op: OpExportAudit}, func(ctx context.Context, d *decision) (keystore.LogState, error) {
		d.rec.Detail = map[string]string{"before": strconv.FormatUint(size, 10)}
		if err := auditlog.UnbrokenTo(v.store, size); err != nil {
			return keystore.LogState{}, err
		}
		return auditlog.StateAt(ctx, v.store, size)
	}, nil)
	if err != nil {
		return nil, err
	}
	first, digest := v.store.LogKept(), v.suite.NewHash()
	err = v.writeExport(ctx, io.MultiWriter(w, digest), first, at)
	if file, ok := w.(interface{ Sync() error }); ok && err == nil {
		err = file.Sync()
	}
	if err != nil {
		return nil, wrap(OpExportAudit, "", err)
	}
	r := &audit.Report{Origin: v.log.Origin, First: first.Size, Size: at.Size, Root: at.Root}
	digest.Sum(r.Digest[:0])
	return r, nil
}

// AuditCut returns the signed cut with which the log begins. ErrNotFound: no record was
// ever removed.
func (c Client) AuditCut(ctx context.Context) (cut []byte, err error) {
	return useVault(ctx, c, request{op: OpReadAudit}, func(ctx context.Context, _ *decision) ([]byte, error) {
		return c.vault.auditCut(ctx)
	}, nil)
}

func (v *Vault) auditCut(ctx context.Context) ([]byte, error) {
	r, err := v.store.Get(ctx, auditCutPath)
	if err != nil {
		return nil, missing(err, "a cut of the log; it has all its records")
	}
	return r.Value, nil
}

// checkCut compares the signed cut with the state at which the log begins.
func (v *Vault) checkCut(ctx context.Context) error {
	first := v.store.LogFirst()
	text, err := v.auditCut(ctx)
	if first.Size == 0 && errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return v.log.CheckCut(v.store, first, text)
}

// trimTask is the name of trimAudit among the tasks. No driver has this name.
const trimTask = "\x00trim"

// trimAudit releases the space of removed records. If that fails, the background goroutine
// repeats it.
func (v *Vault) trimAudit(ctx context.Context) {
	v.trimDue.Store(false)
	if err := errors.Join(v.store.TrimLog(ctx), auditlog.Trim(ctx, v.store)); err != nil {
		v.trimDue.Store(true)
	}
}

// trimAgain releases space that could not be released before. It does not wait.
func (v *Vault) trimAgain(ctx context.Context) {
	now := time.Now()
	if !v.trimDue.Load() || now.Before(v.trimAfter) {
		return
	}
	v.trimAfter = now.Add(tasks.RetryDelay)
	v.tasks.GoOnce(trimTask, func() { v.trimAudit(ctx) })
}

// countFailed counts an operation whose record could not be written.
func (d *decision) countFailed(cause error) {
	r := d.rec
	r.Result, r.Error, r.OutputSize = audit.Failed, errorName(translate(cause)), 0
	d.client.vault.failures.Count(r, 1, d.client.vault.confirmedNow())
}

// countRejected counts a call that was rejected before the decision.
func (c Client) countRejected(ctx context.Context, q request, cause error) {
	v := c.vault
	r := v.record(q.op, c.principal)
	r.Result, r.Error = audit.Failed, errorName(cause)
	if ctx != nil {
		r.RequestID, r.Reason = requestInfo(ctx)
	}
	v.describe(&r, q, nil)
	if c.checkPrincipal() != nil {
		r.Result, r.Decision, r.Principal = audit.Refused, "DENY", string(principalUnnamed)
		r.Detail = map[string]string{"given": inputtext.Quote(string(c.principal))}
	}
	v.failures.Count(r, 1, v.confirmedNow())
}

// countsInBatch is how many counts one commit writes.
const countsInBatch = 128

// writeCounts writes counted failures to the log. It counts those again that cannot be
// written, for the next attempt.
func (v *Vault) writeCounts(counts []audit.Record) {
	for batch := range slices.Chunk(counts, countsInBatch) {
		err := v.store.Commit(context.Background(), func(tx *keystore.Tx) error {
			for _, r := range batch {
				v.appendAudit(tx, r)
			}
			return nil
		})
		if err == nil {
			continue
		}
		for _, r := range batch {
			v.failures.Count(r, max(1, r.Count), v.confirmedNow())
		}
	}
}
