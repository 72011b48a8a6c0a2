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

// AuditRecords yields the audit records that the filter chooses, the oldest first,
// up to and without the record of this reading. Failures that were only counted so far
// are written first, so that they are among them. An error is yielded once and ends
// it; ErrCorrupt names the record that is damaged.
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
		// Outside the gate: what the caller does with a record may take its time, use
		// the vault or close it.
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

// ExportAudit writes the whole log as JSON lines that audit.VerifyExport, and any
// program that knows RFC 6962 and signed notes, verifies offline by LogKey. The record
// of this very export is in it. After an error what was written is of no use; ErrClosed
// if the vault was closed meanwhile. w's own errors are ErrUnavailable around them.
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
	// Outside the gate, since w may take its time.
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

// checkpoints returns the stored checkpoints below a state of the log, and a new one
// of it.
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

// Check verifies everything that is stored: each record, the census, the whole
// log against its tree, head, tip and root file. ErrCorrupt or ErrRolledBack name
// what is wrong.
func (c Client) Check(ctx context.Context) error {
	return c.onVault(ctx, request{op: OpCheck}, func(ctx context.Context, _ *entry) error {
		return c.vault.store.Check(ctx)
	})
}
