package vault

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"strongroom.example/audit"
)

// fillLog appends at least n records to the audit log.
func fillLog(t testing.TB, c Client, n int) {
	t.Helper()
	var callers sync.WaitGroup
	for range 32 {
		callers.Go(func() {
			for range n/32 + 1 {
				if _, err := c.GenerateRandom(t.Context(), 16); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
}

// checkpointOf returns a signed checkpoint of the whole log, as it is.
func checkpointOf(t testing.TB, c Client) audit.Checkpoint {
	t.Helper()
	text, err := c.AuditCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := audit.OpenCheckpoint(text, c.vault.LogKey())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// exportOf returns the export of the log.
func exportOf(t testing.TB, c Client) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := c.ExportAudit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// syncedBuffer counts calls of Sync.
type syncedBuffer struct {
	bytes.Buffer
	syncs int
}

func (b *syncedBuffer) Sync() error { b.syncs++; return nil }

// TestCutAudit cuts a log twice, first with an export that CutAudit writes and then with
// one that the caller verified, and verifies everything that is left.
func TestCutAudit(t *testing.T) {
	v, dir := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	if _, err := c.AuditCut(ctx); !errors.Is(err, ErrNotFound) {
		t.Errorf("AuditCut of a whole log: %v, want ErrNotFound", err)
	}
	fillLog(t, c, 1300)
	var points []audit.Checkpoint
	for range 3 {
		points = append(points, checkpointOf(t, c))
		fillLog(t, c, 300)
	}
	leaf, err := v.store.LogRecord(ctx, points[2].Size)
	if err != nil {
		t.Fatal(err)
	}
	const first = 1400 // between two checkpoints
	var archive syncedBuffer
	text, err := c.CutAudit(ctx, CutRequest{Before: first, Export: &archive})
	if err != nil {
		t.Fatal(err)
	}
	cut, err := audit.OpenCut(text, v.LogKey())
	if err != nil || cut.First != 0 || cut.Size != first || cut.Export != v.suite.Sum(archive.Bytes()) || cut.Principal != string(DefaultOwner) {
		t.Errorf("CutAudit returned %+v, %v", cut, err)
	}
	if kept, err := c.AuditCut(ctx); err != nil || !bytes.Equal(kept, text) || archive.syncs != 1 {
		t.Errorf("AuditCut: %s, %v, want what CutAudit returned; the export was synced %d times", kept, err, archive.syncs)
	}
	rest := exportOf(t, c)
	verifyAfterCut(t, v, archive.Bytes(), rest, text)
	for _, p := range points {
		now := checkpointOf(t, c)
		path, err := c.AuditConsistency(ctx, p.Size, now.Size)
		if p.Size < first {
			if !errors.Is(err, ErrAuditCut) {
				t.Errorf("AuditConsistency from %d, which is before the cut: %v, want ErrAuditCut", p.Size, err)
			}
			continue
		}
		if err != nil || v.log.Tree.VerifyConsistency(p, now, path) != nil {
			t.Errorf("AuditConsistency from %d to %d: %v", p.Size, now.Size, err)
		}
		if path, err = c.AuditInclusion(ctx, points[2].Size, now.Size); err != nil || v.log.Tree.VerifyInclusion(leaf, points[2].Size, now, path) != nil {
			t.Errorf("AuditInclusion of a record that is kept: %v", err)
		}
	}
	if _, err := c.AuditInclusion(ctx, 20, points[2].Size); !errors.Is(err, ErrAuditCut) {
		t.Errorf("AuditInclusion of a record that was removed: %v, want ErrAuditCut", err)
	}
	if _, err := c.AuditInclusion(ctx, 20, 1<<40); !errors.Is(err, ErrInvalid) {
		t.Errorf("AuditInclusion in a log that is larger than this one: %v, want ErrInvalid", err)
	}
	report, _, err := audit.VerifyExportFrom(bytes.NewReader(rest), v.LogKey(), text)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = c.CutAudit(ctx, CutRequest{Before: report.Size, Exported: &report}); err != nil {
		t.Fatal(err)
	}
	if cut, err = audit.OpenCut(text, v.LogKey()); err != nil || cut.First != first || cut.Size != report.Size || cut.Export != report.Digest {
		t.Errorf("the second cut is %+v, %v", cut, err)
	}
	if err := c.RotateRoot(ctx, passphrase(t, "correct horse")); err != nil {
		t.Fatal(err)
	}
	closeChecked(t, v)
	if v, err = Open(ctx, dir, testConfig(), passphrase(t, "correct horse")); err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	c = v.As(DefaultOwner)
	verifyAfterCut(t, v, append(archive.Bytes(), rest...), exportOf(t, c), text)
	var recorded []string
	for r, err := range c.AuditRecords(ctx, audit.Filter{}) {
		if err != nil || r.Seq < report.Size {
			t.Errorf("a record of a log cut at %d: %+v, %v", report.Size, r, err)
		}
		if r.Operation == string(OpCutAudit) {
			recorded = append(recorded, r.Detail["cut"])
		}
	}
	if len(recorded) != 1 || recorded[0] != string(text) {
		t.Errorf("the log records the cuts %q, want %q", recorded, text)
	}
}

// verifyAfterCut checks that the rest of a log verifies from its cut and in no other way,
// and together with what was exported before.
func verifyAfterCut(t *testing.T, v *Vault, archive, rest, cut []byte) {
	t.Helper()
	if _, _, err := audit.VerifyExportFrom(bytes.NewReader(rest), v.LogKey(), cut); err != nil {
		t.Errorf("VerifyExportFrom the cut: %v", err)
	}
	if _, err := audit.VerifyExport(bytes.NewReader(rest), v.LogKey()); !errors.Is(err, audit.ErrFault) {
		t.Errorf("VerifyExport of the rest alone: %v, want ErrFault", err)
	}
	r, err := audit.VerifyExport(io.MultiReader(bytes.NewReader(archive), bytes.NewReader(rest)), v.LogKey())
	if err != nil || r.First != 0 {
		t.Errorf("VerifyExport of the archive and the rest: %+v, %v", r, err)
	}
}

// TestCutAuditRefused: a cut that does not fit its export, or that the caller may not make,
// removes nothing.
func TestCutAuditRefused(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	fillLog(t, c, 40)
	good, err := audit.VerifyExport(bytes.NewReader(exportOf(t, c)), v.LogKey())
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*audit.Report)) *audit.Report {
		r := good
		change(&r)
		return &r
	}
	broken := errors.New("no more")
	for name, row := range map[string]struct {
		c    Client
		q    CutRequest
		want error
	}{
		"no export":            {c, CutRequest{Before: 20}, ErrInvalid},
		"two exports":          {c, CutRequest{Before: 20, Export: io.Discard, Exported: &good}, ErrInvalid},
		"no record":            {c, CutRequest{Export: io.Discard}, ErrInvalid},
		"beyond the end":       {c, CutRequest{Before: 1 << 40, Export: io.Discard}, ErrInvalid},
		"another size":         {c, CutRequest{Before: good.Size - 1, Exported: &good}, ErrInvalid},
		"a later beginning":    {c, CutRequest{Before: good.Size, Exported: changed(func(r *audit.Report) { r.First = 1 })}, ErrInvalid},
		"another root":         {c, CutRequest{Before: good.Size, Exported: changed(func(r *audit.Report) { r.Root[0] ^= 1 })}, ErrInvalid},
		"another log":          {c, CutRequest{Before: good.Size, Exported: changed(func(r *audit.Report) { r.Origin = "x" })}, ErrInvalid},
		"a writer that fails":  {c, CutRequest{Before: 20, Export: failingWriter{broken}}, broken},
		"a file that is short": {c, CutRequest{Before: 20, Export: unsynced{broken}}, broken},
		"a stranger":           {v.As("stranger"), CutRequest{Before: 20, Export: io.Discard}, ErrDenied},
		"a stranger's export":  {v.As("stranger"), CutRequest{Before: good.Size, Exported: &good}, ErrDenied},
	} {
		if _, err := row.c.CutAudit(ctx, row.q); !errors.Is(err, row.want) {
			t.Errorf("CutAudit with %s: %v, want %v", name, err, row.want)
		}
	}
	if first := v.store.LogFirst().Size; first != 0 {
		t.Errorf("the log begins with record %d after cuts that were refused", first)
	}
	if _, err := audit.VerifyExport(bytes.NewReader(exportOf(t, c)), v.LogKey()); err != nil {
		t.Errorf("VerifyExport after cuts that were refused: %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// unsynced is a file that cannot be synced.
type unsynced struct{ err error }

func (w unsynced) Write(p []byte) (int, error) { return len(p), nil }
func (w unsynced) Sync() error                 { return w.err }

// TestCutAuditFreesTheDisk: the engine's tables shrink with the log, and so do the records
// of its tree.
func TestCutAuditFreesTheDisk(t *testing.T) {
	v, dir := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	fillLog(t, c, 30000)
	size := v.store.LogState().Size
	var early, late bytes.Buffer
	if _, err := c.CutAudit(ctx, CutRequest{Before: 1, Export: &early}); err != nil { // makes tables of everything
		t.Fatal(err)
	}
	before, paths := tableBytes(t, dir), len(v.store.Paths("log/"))
	if _, err := c.CutAudit(ctx, CutRequest{Before: size - 100, Export: &late}); err != nil {
		t.Fatal(err)
	}
	after := tableBytes(t, dir)
	t.Logf("tables: %d bytes before, %d after; %d and %d records of the tree", before, after, paths, len(v.store.Paths("log/")))
	if after > before/4 || len(v.store.Paths("log/")) > paths/4 {
		t.Errorf("a cut of nearly the whole log left %d of %d bytes, and %d of %d records", after, before, len(v.store.Paths("log/")), paths)
	}
	if _, err := audit.VerifyExport(io.MultiReader(&early, &late, bytes.NewReader(exportOf(t, c))), v.LogKey()); err != nil {
		t.Errorf("VerifyExport of all parts: %v", err)
	}
}

// tableBytes returns the size of the engine's tables.
func tableBytes(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".sst" {
			return err
		}
		info, err := d.Info()
		n += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCutAuditAndBackups restores backups of before and after a cut.
func TestCutAuditAndBackups(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	key := mustKey(t, c, KeyOptions{})
	fillLog(t, c, 300)
	full, first := testBackup(t, c, "")
	text, err := c.CutAudit(ctx, CutRequest{Before: 200, Export: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	fillLog(t, c, 50)
	next, _ := testBackup(t, c, first.ID)
	whole, _ := testBackup(t, c, "")
	for name, backups := range map[string][][]byte{"an incremental backup": {full, next}, "a full backup": {whole}} {
		r, err := testRestore(t, backups...)
		if err != nil {
			t.Fatalf("Restore of %s from after a cut: %v", name, err)
		}
		rc := r.As(DefaultOwner)
		if kept, err := rc.AuditCut(ctx); err != nil || !bytes.Equal(kept, text) || r.store.LogFirst().Size != 200 {
			t.Errorf("%s has the cut %s, %v", name, kept, err)
		}
		if _, _, err := audit.VerifyExportFrom(bytes.NewReader(exportOf(t, rc)), r.LogKey(), text); err != nil {
			t.Errorf("VerifyExportFrom the cut after Restore of %s: %v", name, err)
		}
		if _, err := rc.Encrypt(ctx, key.ID, []byte("m"), nil); err != nil {
			t.Error(err)
		}
		closeChecked(t, r)
	}
	older, err := testRestore(t, full)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := older.As(DefaultOwner).AuditCut(ctx); !errors.Is(err, ErrNotFound) {
		t.Errorf("AuditCut in a vault restored from before the cut: %v, want ErrNotFound", err)
	}
	closeChecked(t, older)
}

// TestCutAuditBesideUse cuts the log while others append to it, read it and export it.
func TestCutAuditBesideUse(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	fillLog(t, c, 300)
	var archive bytes.Buffer
	stop := make(chan struct{})
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				var err error
				switch i {
				case 0:
					err = c.ExportAudit(ctx, io.Discard)
				case 1:
					for _, err = range c.AuditRecords(ctx, audit.Filter{}) {
					}
				default:
					_, err = c.GenerateRandom(ctx, 16)
				}
				if err != nil && !errors.Is(err, ErrAuditCut) {
					t.Errorf("beside CutAudit: %v", err)
					return
				}
			}
		})
	}
	for n := range 10 {
		if _, err := c.CutAudit(ctx, CutRequest{Before: uint64(20 * (n + 1)), Export: &archive}); err != nil {
			t.Errorf("CutAudit beside use: %v", err)
		}
	}
	close(stop)
	users.Wait()
	if _, err := audit.VerifyExport(io.MultiReader(&archive, bytes.NewReader(exportOf(t, c))), v.LogKey()); err != nil {
		t.Errorf("VerifyExport of ten archives and the rest: %v", err)
	}
}
