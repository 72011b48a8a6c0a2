package vault

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/keystore"
)

// damagedLog is a vault of which Repair lost audit records, and what was known of its log
// before the damage.
type damagedLog struct {
	*testing.T
	dir    string
	report RepairReport
	cut    []byte                       // the signed cut from before the damage
	states map[uint64]keystore.LogState // of the tree, by size
	leaves map[uint64][]byte            // the records by number, but for those of Close
	base   Backup
	v      *Vault
	c      Client
}

// newDamagedLog cuts the log of a worn vault, unless before is 0, removes its redo log and
// repairs it.
func newDamagedLog(t *testing.T, before uint64) *damagedLog {
	x := newWornVault(t)
	d := &damagedLog{T: t, dir: t.TempDir(), states: map[uint64]keystore.LogState{}, leaves: map[uint64][]byte{}}
	x.files.write(t, d.dir)
	d.open()
	_, d.base = testBackup(t, d.c, "")
	for _, n := range []uint64{100, 256, 300, d.v.store.LogState().Size} {
		at, err := d.v.store.LogStateAt(t.Context(), n)
		must(t, err)
		d.states[n] = at
	}
	if before > 0 {
		var err error
		d.cut, err = d.c.CutAudit(t.Context(), CutRequest{Before: before, Export: io.Discard})
		must(t, err)
		fillLog(t, d.c, 30)
	}
	for seq := before; seq < d.v.store.LogState().Size; seq++ {
		leaf, err := d.v.store.LogRecord(t.Context(), seq)
		must(t, err)
		d.leaves[seq] = leaf
	}
	closeChecked(t, d.v)
	d.repair("store/redo*")
	if !d.report.Rebuilt || d.report.LostFrom == 0 || d.report.LostFrom >= d.report.LostTo {
		t.Fatalf("Repair: %+v, want some records lost, and others kept", d.report)
	}
	return d
}

func (d *damagedLog) open() {
	d.Helper()
	v, err := Open(d.Context(), d.dir, Config{}, passphrase(d, "correct horse"))
	must(d, err)
	d.v, d.c = v, v.As(DefaultOwner)
}

// repair removes files of the closed vault, repairs it and opens it.
func (d *damagedLog) repair(pattern string) {
	d.Helper()
	names, err := filepath.Glob(filepath.Join(d.dir, pattern))
	must(d, err)
	for _, name := range names {
		must(d, os.RemoveAll(name))
	}
	d.report, err = Repair(d.Context(), d.dir, Config{}, passphrase(d, "correct horse"))
	must(d, err)
	d.open()
}

// holds checks the vault, its scrub, its export with the given pin, a backup, Open and
// Repair. No record before first is in the log.
func (d *damagedLog) holds(when string, pin []byte, first uint64) {
	d.Helper()
	d.whole(when, d.v, pin, first)
	full, info := testBackup(d.T, d.c, "")
	next, _ := testBackup(d.T, d.c, info.ID)
	for name, backups := range map[string][][]byte{"a full backup": {full}, "an incremental backup": {full, next}} {
		r, err := Restore(d.Context(), filepath.Join(d.TempDir(), "restored"), Config{}, readersOf(backups),
			passphrase(d, "backup"), passphrase(d, "new machine"))
		if err != nil {
			d.Fatalf("%s: Restore of %s: %v", when, name, err)
		}
		d.whole(when+", restored from "+name, r, pin, first)
		closeChecked(d, r)
	}
	closeChecked(d, d.v)
	report, err := Repair(d.Context(), d.dir, Config{}, passphrase(d, "correct horse"))
	if err != nil || report.Rebuilt || report.Fault != nil {
		d.Errorf("%s: Repair again: %+v, %v; want no change", when, report, err)
	}
	d.open()
	d.whole(when+", opened again", d.v, pin, first)
}

func (d *damagedLog) whole(when string, v *Vault, pin []byte, first uint64) {
	d.Helper()
	c, ctx := v.As(DefaultOwner), d.Context()
	if err := c.Check(ctx); err != nil {
		d.Errorf("%s: Check: %v", when, err)
	}
	free := func(context.Context, int) error { return nil }
	if err := v.store.Scrub(ctx, free); err != nil {
		d.Errorf("%s: Scrub: %v", when, err)
	}
	if v.scrub(ctx); v.Health().Scrub.Err != nil {
		d.Errorf("%s: Health: %+v", when, v.Health().Scrub)
	}
	if _, _, err := audit.VerifyExportFrom(bytes.NewReader(exportOf(d, c)), v.LogKey(), pin); err != nil {
		d.Errorf("%s: the export does not verify: %v", when, err)
	}
	if d.cut != nil {
		if cut, err := c.AuditCut(ctx); err != nil || !bytes.Equal(cut, d.cut) {
			d.Errorf("%s: AuditCut: %s, %v; want the last cut", when, cut, err)
		}
	}
	for r, err := range c.AuditRecords(ctx, audit.Filter{}) {
		if err != nil || r.Seq < first {
			d.Fatalf("%s: AuditRecords yields record %d, %v; want none before %d", when, r.Seq, err, first)
		}
	}
}

func (d *damagedLog) point(at keystore.LogState) audit.Checkpoint {
	return audit.Checkpoint{Origin: d.v.log.Origin, Size: at.Size, Root: at.Root}
}

// proofs checks that each proof is right or names what is lost, and that every record
// behind the lost ones has a proof.
func (d *damagedLog) proofs() {
	d.Helper()
	ctx, from, to := d.Context(), d.report.LostFrom, d.report.LostTo
	now := checkpointOf(d, d.c)
	states := maps.Clone(d.states)
	behind, err := d.v.store.LogStateAt(ctx, to)
	must(d, err)
	states[to] = behind
	for size, at := range states {
		path, err := d.c.AuditConsistency(ctx, size, now.Size)
		if errors.Is(err, ErrAuditLost) && size < to {
		} else if err != nil || d.v.log.Tree.VerifyConsistency(d.point(at), now, path) != nil {
			d.Errorf("AuditConsistency from %d, %d to %d lost: %v", size, from, to, err)
		}
	}
	small := d.point(d.states[300]) // its proofs need the node of the records before 256
	for seq := range now.Size {
		leaf, err := d.v.store.LogRecord(ctx, seq)
		lost := from <= seq && seq < to
		if lost != errors.Is(err, keystore.ErrLost) || !lost && err != nil {
			d.Errorf("record %d, %d to %d lost: %v", seq, from, to, err)
		}
		if lost {
			leaf = d.leaves[seq]
		}
		for _, p := range []audit.Checkpoint{small, now} {
			if seq >= p.Size {
				continue
			}
			path, err := d.c.AuditInclusion(ctx, seq, p.Size)
			if errors.Is(err, ErrAuditLost) && p.Size > from && seq < to {
			} else if lost && leaf == nil && err == nil {
				// The hash of the last lost record, which Close wrote, is left as a node of the tree.
			} else if err != nil || d.v.log.Tree.VerifyInclusion(leaf, seq, p, path) != nil {
				d.Errorf("AuditInclusion of %d in %d, %d to %d lost: %v", seq, p.Size, from, to, err)
			}
		}
	}
}

// cutAt cuts the log and verifies the export from pin, nil for one of the whole log. It
// returns the export.
func (d *damagedLog) cutAt(n uint64, pin []byte) []byte {
	d.Helper()
	var export bytes.Buffer
	cut, err := d.c.CutAudit(d.Context(), CutRequest{Before: n, Export: &export})
	if err != nil {
		d.Fatalf("CutAudit before %d: %v", n, err)
	}
	d.cut = cut
	if pin == nil {
		_, err = audit.VerifyExport(bytes.NewReader(export.Bytes()), d.v.LogKey())
	} else {
		_, _, err = audit.VerifyExportFrom(bytes.NewReader(export.Bytes()), d.v.LogKey(), pin)
	}
	if err != nil {
		d.Errorf("the export of a cut before %d: %v", n, err)
	}
	return export.Bytes()
}

// parts exports the records on both sides of those that are lost, and compares the numbers of
// records.
func (d *damagedLog) parts(first uint64) {
	d.Helper()
	ctx, from, to := d.Context(), d.report.LostFrom, d.report.LostTo
	for before, begin := range map[uint64]uint64{from: first, from - 1: first, to + 2: to} {
		var b bytes.Buffer
		if err := d.c.ExportAuditBefore(ctx, &b, before); err != nil {
			d.Errorf("ExportAuditBefore %d, %d to %d lost: %v", before, from, to, err)
			continue
		}
		pin := d.cut // nil if no record was removed
		if begin == to {
			pin = d.report.Checkpoint
		}
		r, _, err := audit.VerifyExportFrom(&b, d.v.LogKey(), pin)
		if err != nil || r.First != begin || r.Size != before {
			d.Errorf("ExportAuditBefore %d has the records %d to %d, %v; want those from %d", before, r.First, r.Last, err, begin)
		}
	}
	for before, want := range map[uint64]error{from + 1: ErrAuditLost, to: ErrAuditLost, 0: ErrInvalid, 1 << 40: ErrInvalid} {
		if err := d.c.ExportAuditBefore(ctx, io.Discard, before); !errors.Is(err, want) {
			d.Errorf("ExportAuditBefore %d, %d to %d lost: %v, want %v", before, from, to, err, want)
		}
	}
	if err := d.c.ExportAuditBefore(ctx, io.Discard, 1); first > 0 && !errors.Is(err, ErrAuditCut) {
		d.Errorf("ExportAuditBefore 1 of a log that was cut: %v, want ErrAuditCut", err)
	}
}

// TestLostLog uses a vault of which Repair lost audit records, cuts its log before, at and
// behind them, and repairs it again.
func TestLostLog(t *testing.T) {
	t.Parallel()
	d := newDamagedLog(t, 0)
	defer func() { closeChecked(t, d.v) }()
	from, to := d.report.LostFrom, d.report.LostTo
	first := d.report
	d.proofs()
	must(t, d.v.store.Commit(t.Context(), func(tx *keystore.Tx) error { // as if they were lost too
		for _, path := range d.v.store.Paths("log/node/") {
			tx.Delete(path)
		}
		return nil
	}))
	d.proofs()
	d.parts(0)
	d.holds("records are lost", first.Checkpoint, 0)
	if _, err := d.c.Backup(t.Context(), io.Discard, BackupOptions{Since: d.base.ID}, passphrase(t, "backup")); !errors.Is(err, ErrNotFound) {
		t.Errorf("Backup since one from before the loss: %v, want ErrNotFound", err)
	}
	for _, n := range []uint64{from + 1, to - 1, to, to + 1} {
		if _, err := d.c.CutAudit(t.Context(), CutRequest{Before: n, Export: io.Discard}); !errors.Is(err, ErrAuditLost) {
			t.Errorf("CutAudit before %d, %d to %d lost: %v, want ErrAuditLost", n, from, to, err)
		}
	}
	if _, err := d.c.CutAudit(t.Context(), CutRequest{Before: from + 1, Exported: &audit.Report{Size: from + 1}}); !errors.Is(err, ErrAuditLost) {
		t.Errorf("CutAudit within the lost records with an older export: %v, want ErrAuditLost", err)
	}
	archive := d.cutAt(100, nil)
	d.holds("cut before the lost records", first.Checkpoint, 100)
	archive = append(archive, d.cutAt(from, d.cut)...)
	if r, err := audit.VerifyExport(bytes.NewReader(archive), d.v.LogKey()); err != nil || r.Size != from {
		t.Errorf("VerifyExport of all records before the lost ones: %+v, %v", r, err)
	}
	d.holds("cut at the lost records", first.Checkpoint, to)
	if _, err := d.c.CutAudit(t.Context(), CutRequest{Before: to, Export: io.Discard}); !errors.Is(err, ErrInvalid) {
		t.Errorf("CutAudit before the first record that is kept: %v, want ErrInvalid", err)
	}
	d.cutAt(to+2, first.Checkpoint)
	d.holds("cut behind the lost records", d.cut, to+2)
	closeChecked(t, d.v)
	d.repair("store")
	if d.report.LostFrom != to+2 {
		t.Errorf("Repair without the engine: records %d to %d lost, want all from the cut at %d on", d.report.LostFrom, d.report.LostTo, to+2)
	}
	d.holds("records are lost again", d.report.Checkpoint, d.report.LostTo)
}

// TestCutLogIsLost damages a vault whose log was cut. The cut stays, no removed record is
// back, and the log can be cut again.
func TestCutLogIsLost(t *testing.T) {
	t.Parallel()
	d := newDamagedLog(t, 200)
	defer func() { closeChecked(t, d.v) }()
	first := d.report
	if first.LostFrom > 201 {
		d.parts(200)
	}
	d.holds("records of a cut log are lost", first.Checkpoint, 200)
	if n := d.v.store.LogFirst().Size; n != 200 {
		t.Errorf("the log begins with record %d, want 200", n)
	}
	if _, err := d.c.AuditInclusion(t.Context(), 100, d.v.store.LogState().Size); !errors.Is(err, ErrAuditCut) && !errors.Is(err, ErrAuditLost) {
		t.Errorf("AuditInclusion of a record that was removed: %v, want ErrAuditCut", err)
	}
	if first.LostFrom > 200 {
		d.cutAt(first.LostFrom, d.cut)
	}
	d.cutAt(first.LostTo+1, first.Checkpoint)
	d.holds("cut behind the lost records", d.cut, first.LostTo+1)
	closeChecked(t, d.v)
	d.repair("store/redo*")
	d.holds("records are lost again", d.report.Checkpoint, first.LostTo+1)
}
