package vault

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"strongroom.example/audit"
	"strongroom.example/keystore"
)

// AuditRecords returns an iterator over the audit records that match f, the oldest first,
// up to but not including the record of this reading. It first writes the failures that
// were only counted so far, so that they are included. An error is yielded once and ends
// the iteration. ErrCorrupt names the damaged record.
func (c Client) AuditRecords(ctx context.Context, f audit.Filter) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		var size uint64
		err := c.onVault(ctx, request{op: OpReadAudit}, func(context.Context, *entry) error {
			c.vault.writeCounts(c.vault.failures.all())
			size = c.vault.store.LogState().Size
			return nil
		})
		if err != nil {
			yield(audit.Record{}, err)
			return
		}
		// Outside the gate, because the loop body may take long, use the vault or close it.
		for e, err := range c.vault.store.LogRange(ctx, 0, size) {
			var r audit.Record
			if err == nil {
				if r, err = audit.ParseRecord(e.Leaf); err != nil {
					err = fmt.Errorf("%w: audit record %d: %w", ErrCorrupt, e.Seq, err)
				}
			}
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

// ExportAudit writes the whole log as JSON lines, including the record of this export.
// audit.VerifyExport, or any program that implements RFC 6962 and signed notes, verifies
// the export offline with LogKey. After an error, discard what was written. Errors:
// ErrClosed if the vault was closed during the export; ErrUnavailable around an error of w.
func (c Client) ExportAudit(ctx context.Context, w io.Writer) error {
	err := c.onVault(ctx, request{op: OpExportAudit}, func(context.Context, *entry) error {
		if w == nil {
			return invalid("the writer is nil")
		}
		c.vault.writeCounts(c.vault.failures.all())
		return nil
	})
	if err != nil {
		return err
	}
	v := c.vault
	state := v.store.LogState()
	notes, err := v.checkpoints(ctx, state)
	if err != nil {
		return wrap(OpExportAudit, "", err)
	}
	// Outside the gate, because w may take long.
	leaves := func(yield func([]byte, error) bool) {
		for e, err := range v.store.LogRange(ctx, 0, state.Size) {
			if !yield(e.Leaf, err) || err != nil {
				return
			}
		}
	}
	header := audit.Export{Vault: v.ID(), Suite: v.suite, LogKey: v.LogKey()}
	return wrap(OpExportAudit, "", audit.WriteExport(w, header, leaves, notes))
}

// checkpoints returns the stored checkpoints below a state of the log, and a new checkpoint
// of that state.
func (v *Vault) checkpoints(ctx context.Context, state keystore.LogState) ([][]byte, error) {
	if err := v.enter(); err != nil {
		return nil, err
	}
	defer v.leave()
	notes, err := v.checkpointsBelow(ctx, state.Size)
	if err != nil {
		return nil, err
	}
	last, err := v.log.key.Load().Sign(audit.Checkpoint{Origin: v.log.origin, Size: state.Size, Root: state.Root})
	return append(notes, last), err
}

// checkpointsBelow returns the stored checkpoints of trees smaller than size.
func (v *Vault) checkpointsBelow(ctx context.Context, size uint64) ([][]byte, error) {
	var notes [][]byte
	for _, path := range v.store.Paths(checkpoints) {
		n, err := strconv.ParseUint(strings.TrimPrefix(path, checkpoints), 16, 64)
		if err != nil || n >= size {
			continue
		}
		r, err := v.store.Get(ctx, path)
		if err != nil {
			return nil, err
		}
		notes = append(notes, r.Value)
	}
	return notes, nil
}

// Check verifies all stored data: every record, the record count and digest, and the whole
// log against its tree, head, tip and root file. ErrCorrupt or ErrRolledBack names what is
// wrong.
func (c Client) Check(ctx context.Context) error {
	return c.onVault(ctx, request{op: OpCheck}, func(ctx context.Context, _ *entry) error {
		return c.vault.store.Check(ctx)
	})
}
