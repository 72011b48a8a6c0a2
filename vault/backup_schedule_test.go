package vault

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/vault/internal/backupfile"
)

// scheduled is a vault with a schedule of backups and a clock that the test sets.
type scheduled struct {
	t   *testing.T
	v   *Vault
	now *clock.Fake
	dir string
}

// TestBackupSchedule: backups are made when they are due, old ones are removed and no other
// file is, failures are recorded and in Health, and the newest backup restores.
func TestBackupSchedule(t *testing.T) {
	cfg := testConfig()
	now := clock.NewFake(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	dir := t.TempDir()
	cfg.Clock = now
	cfg.Backup = BackupSchedule{Dir: dir, Every: time.Hour, Keep: 2, Protectors: []driver.Protector{passphrase(t, "backup")}}
	v, home := newTestVault(t, cfg)
	x := &scheduled{t, v, now, dir}
	other := filepath.Join(dir, strings.Repeat("0", 32)+"-20250102T030405.000000000Z"+backupfile.Suffix)
	for _, name := range []string{other, filepath.Join(dir, "notes")} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustKey(t, v.As(DefaultOwner), KeyOptions{Alias: "key"})
	poll.Until(t, "the first backup", func() bool { return !v.Health().Backup.Last.IsZero() })
	for range 3 {
		x.next()
	}
	if err := errors.Join(v.Health().Backup.Err); err != nil || len(x.files()) != 2 {
		t.Errorf("%d backups after four hours, %v, want 2", len(x.files()), err)
	}
	last := v.Health().Backup
	away := dir + ".away"
	if err := os.Rename(dir, away); err != nil {
		t.Fatal(err)
	}
	now.Advance(time.Hour)
	poll.Until(t, "a backup that fails", func() bool { return v.Health().Backup.Err != nil })
	if h := v.Health().Backup; h.Last != last.Last || !h.Next.Equal(now.Now().Add(backupRetry)) || !errors.Is(h.Err, ErrUnavailable) {
		t.Errorf("Health after a backup that failed: %+v", h)
	}
	if err := os.Rename(away, dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, v.ID()+".partial"), []byte("cut short"), 0o600); err != nil {
		t.Fatal(err)
	}
	x.next()
	if h := v.Health().Backup; h.Err != nil || len(x.files()) != 2 {
		t.Errorf("Health after the directory came back: %+v, %d files", h, len(x.files()))
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 4 {
		t.Errorf("the directory has %v, %v, want two backups, that of another vault, and the notes", left, err)
	}
	newest := v.Health().Backup
	x.restores(newest.File)
	x.records(5, 1)
	closeChecked(t, v)
	now.Advance(10 * time.Minute)
	v, err := Open(t.Context(), home, cfg, passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	if h := v.Health().Backup; h.File != newest.File || !h.Next.Equal(newest.Last.Add(time.Hour)) {
		t.Errorf("Health of a vault that was opened again: %+v, want the backup %+v", h, newest)
	}
}

// next waits for the backup that is due next.
func (x *scheduled) next() {
	x.t.Helper()
	h := x.v.Health().Backup
	x.now.Advance(h.Next.Sub(x.now.Now()))
	poll.Until(x.t, "the next backup", func() bool { return x.v.Health().Backup.Last.After(h.Last) })
}

// files lists the vault's backups.
func (x *scheduled) files() []backupfile.Saved {
	x.t.Helper()
	all, err := x.v.savedBackups().List(x.v.confirmedNow())
	if err != nil {
		x.t.Fatal(err)
	}
	return all
}

// restores restores a backup and uses its key.
func (x *scheduled) restores(file string) {
	x.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		x.t.Fatal(err)
	}
	r, err := testRestore(x.t, b)
	if err != nil {
		x.t.Fatalf("Restore of a scheduled backup: %v", err)
	}
	defer closeChecked(x.t, r)
	if _, err := r.As(DefaultOwner).Encrypt(x.t.Context(), "key", []byte("m"), nil); err != nil {
		x.t.Error(err)
	}
}

// records checks how many backups are on record.
func (x *scheduled) records(good, failed int) {
	x.t.Helper()
	found := map[audit.Result]int{}
	for r, err := range x.v.As(DefaultOwner).AuditRecords(x.t.Context(), audit.Filter{}) {
		if err != nil {
			x.t.Fatal(err)
		}
		if r.Operation == string(OpBackup) {
			found[r.Result]++
		}
	}
	if found[audit.OK] < good || found[audit.Failed] != failed {
		x.t.Errorf("%d backups and %d failures are on record, want %d and %d", found[audit.OK], found[audit.Failed], good, failed)
	}
}

// TestBackupScheduleRefused: a schedule that cannot work is refused by Create.
func TestBackupScheduleRefused(t *testing.T) {
	good := []driver.Protector{passphrase(t, "backup")}
	for name, s := range map[string]BackupSchedule{
		"no protector": {Dir: t.TempDir()}, "a nil protector": {Dir: t.TempDir(), Protectors: []driver.Protector{nil}},
		"a negative interval": {Dir: t.TempDir(), Every: -1, Protectors: good}, "a negative number": {Dir: t.TempDir(), Keep: -1, Protectors: good},
	} {
		cfg := testConfig()
		cfg.Backup = s
		v, err := Create(t.Context(), filepath.Join(t.TempDir(), "vault"), cfg, passphrase(t, "p"))
		if err == nil {
			v.Close()
		}
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("Create with %s in Config.Backup: %v, want ErrInvalid", name, err)
		}
	}
}
