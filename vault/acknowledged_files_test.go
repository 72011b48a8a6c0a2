package vault

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/vault/internal/backupfile"
)

// cut cuts the log before its last ten records. It writes the export to a file that is named
// by the records, and reports it before the cut: a cut that is not acknowledged may have been
// made.
func (s *session) cut() error {
	first, size := s.client.vault.store.LogKept().Size, s.client.vault.store.LogState().Size
	before := max(first+1, size-min(size, 10))
	dir := s.dir + ".exports"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, fmt.Sprintf("%016x-%016x", first, before))
	s.report("intent cut " + path)
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := errors.Join(backupfile.SyncDirectory(dir), backupfile.SyncDirectory(filepath.Dir(dir))); err != nil {
		return err
	}
	if _, err := s.client.CutAudit(s.ctx, CutRequest{Before: before, Export: f}); err != nil {
		return err
	}
	s.report(fmt.Sprint("cut ", before))
	return nil
}

// checkExports passes each record of the exports of cuts that were made to count. If they
// begin with the first record, it verifies them together with the rest of the log.
func checkExports(t *testing.T, c Client, when string, lines []string, count func(audit.Record)) {
	t.Helper()
	end := c.vault.store.LogFirst().Size
	name := func(n uint64) string { return fmt.Sprintf("%016x", n) }
	exports := map[string]string{} // by the first record; of two, only the later one was followed by its cut
	for _, line := range lines {
		path, ok := strings.CutPrefix(line, "intent cut ")
		from, to, _ := strings.Cut(filepath.Base(path), "-")
		if ok && to <= name(end) {
			exports[from] = path
		}
	}
	if len(exports) == 0 {
		return
	}
	all := new(bytes.Buffer)
	first := slices.Min(slices.Collect(maps.Keys(exports)))
	for at := first; at != name(end); {
		b, err := os.ReadFile(exports[at])
		if err != nil {
			t.Errorf("%s: no export begins with record %s of a log that begins with %s: %v", when, at, name(end), err)
			return
		}
		all.Write(b)
		_, at, _ = strings.Cut(filepath.Base(exports[at]), "-")
	}
	countExported(t, all.Bytes(), count)
	if first != name(0) || len(c.vault.store.LogGaps()) > 1 {
		return
	}
	if err := c.ExportAudit(t.Context(), all); err != nil {
		t.Errorf("%s: ExportAudit: %v", when, err)
	}
	if _, err := audit.VerifyExport(all, c.vault.LogKey()); err != nil {
		t.Errorf("%s: VerifyExport of the exports of all cuts and of the rest: %v", when, err)
	}
}

// countExported passes each record of an export to count.
func countExported(t *testing.T, export []byte, count func(audit.Record)) {
	t.Helper()
	lines := bufio.NewScanner(bytes.NewReader(export))
	for lines.Buffer(nil, 1<<20); lines.Scan(); {
		var line struct{ R json.RawMessage }
		must(t, json.Unmarshal(lines.Bytes(), &line))
		if line.R == nil {
			continue // a header, a frontier or a checkpoint
		}
		r, err := audit.ParseRecord(line.R)
		must(t, err)
		count(r)
	}
	must(t, lines.Err())
}

// scheduleBeside returns a schedule of backups to a directory beside the vault in dir.
func scheduleBeside(t testing.TB, dir string) BackupSchedule {
	t.Helper()
	dir += ".backups"
	must(t, os.MkdirAll(dir, 0o700))
	return BackupSchedule{Dir: dir, Every: time.Hour, Keep: 2, Protectors: []driver.Protector{passphrase(t, "backup")}}
}

// save makes a scheduled backup due, makes another result beside it, and waits for it.
func (s *session) save() error {
	v := s.client.vault
	v.tasks.Schedule(backupTask, v.confirmedNow())
	v.tasks.RunDue(s.ctx)
	err := s.encrypt()
	v.tasks.Wait()
	h := v.Health().Backup
	if err != nil || h.Err != nil {
		return cmp.Or(err, h.Err)
	}
	s.report("saved " + h.File)
	return nil
}

// checkSaved restores the backups of a schedule, and checks that the newest has the results
// that were acknowledged before the last backup was.
func checkSaved(t *testing.T, when string, lines []string) {
	t.Helper()
	last, path := -1, ""
	for i, line := range lines {
		if p, ok := strings.CutPrefix(line, "saved "); ok {
			last, path = i, p
		}
	}
	if last < 0 {
		return
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"+backupfile.Suffix))
	must(t, err)
	if len(files) == 0 || slices.Max(files) < path {
		t.Errorf("%s: backup %s was acknowledged, and the newest is %v", when, path, files)
		return
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		must(t, err)
		r, err := testRestore(t, b)
		if err != nil {
			t.Errorf("%s: Restore of a scheduled backup: %v", when, err)
			continue
		}
		var kept []string
		for _, line := range lines[:last] {
			if kind, _, _ := strings.Cut(line, " "); file == slices.Max(files) && kind != "saved" && kind != "protector" && kind != "removed" {
				kept = append(kept, line)
			}
		}
		checkResults(t, r, when+", restored", kept)
		must(t, r.Close())
	}
}
