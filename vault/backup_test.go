package vault

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver"
)

// testBackup makes a backup in memory, encrypted to a passphrase of its own.
func testBackup(t *testing.T, c Client, since string) ([]byte, Backup) {
	t.Helper()
	var b bytes.Buffer
	info, err := c.Backup(t.Context(), &b, BackupOptions{Since: since}, passphrase(t, "backup"))
	if err != nil {
		t.Fatalf("Backup: %v", err)
	}
	return b.Bytes(), info
}

// testRestore restores backups into a new directory under another passphrase.
func testRestore(t *testing.T, backups ...[]byte) (*Vault, error) {
	t.Helper()
	return Restore(t.Context(), filepath.Join(t.TempDir(), "restored"), testConfig(), readersOf(backups),
		passphrase(t, "backup"), passphrase(t, "new machine"))
}

func readersOf(backups [][]byte) (all []io.Reader) {
	for _, b := range backups {
		all = append(all, bytes.NewReader(b))
	}
	return all
}

// TestBackupAndRestore restores a full backup and an incremental one, and compares keys,
// plaintexts, imported material and audit records.
func TestBackupAndRestore(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	symmetric := mustKey(t, c, KeyOptions{Alias: "data", Tags: map[string]string{"env": "live"}})
	signer := mustKey(t, c, KeyOptions{Spec: ECCP256, Alias: "signer"})
	ct, err := c.Encrypt(ctx, symmetric.ID, []byte("plaintext"), EncryptionContext{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	signature, err := c.Sign(ctx, signer.ID, []byte("m"), SignOptions{})
	if err != nil {
		t.Fatal(err)
	}
	full, first := testBackup(t, c, "")
	if _, err := c.RotateKey(ctx, symmetric.ID); err != nil {
		t.Fatal(err)
	}
	later := mustKey(t, c, KeyOptions{Alias: "later"})
	if err := errors.Join(c.DeleteAlias(ctx, signer.ID), c.AddAlias(ctx, symmetric.ID, "other")); err != nil {
		t.Fatal(err)
	}
	next, second := testBackup(t, c, first.ID)
	if second.Since != first.ID || second.Generation <= first.Generation || second.AuditSize <= first.AuditSize || second.Vault != v.ID() {
		t.Errorf("Backup returned %+v after %+v", second, first)
	}
	r, err := testRestore(t, full, next)
	if err != nil {
		t.Fatalf("Restore: %v", err)
	}
	defer closeChecked(t, r)
	if r.ID() != v.ID() || r.LogKey() != v.LogKey() {
		t.Errorf("Restore made vault %s with log key %s, want %s and %s", r.ID(), r.LogKey(), v.ID(), v.LogKey())
	}
	rc := r.As(DefaultOwner)
	sameKeys(t, rc, c)
	if got, err := rc.Decrypt(ctx, ct, EncryptionContext{"a": "b"}); err != nil || string(got) != "plaintext" {
		t.Errorf("Decrypt after Restore: %q, %v", got, err)
	}
	if ok, err := rc.Verify(ctx, signer.ID, []byte("m"), signature, SignOptions{}); !ok || err != nil {
		t.Errorf("Verify after Restore: %v, %v", ok, err)
	}
	if _, err := rc.Encrypt(ctx, later.ID, []byte("more"), nil); err != nil {
		t.Errorf("Encrypt after Restore: %v", err)
	}
	sameLog(t, rc, c, second.AuditSize)
	older, err := testRestore(t, full)
	if err != nil {
		t.Fatalf("Restore of the full backup alone: %v", err)
	}
	defer closeChecked(t, older)
	if _, err := older.As(DefaultOwner).DescribeKey(ctx, later.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a key that was made after the backup: %v, want ErrNotFound", err)
	}
}

// sameKeys compares every key of two vaults, and its versions.
func sameKeys(t *testing.T, got, want Client) {
	t.Helper()
	n := 0
	for k, err := range want.ListKeys(t.Context(), KeyFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		other, err := got.DescribeKey(t.Context(), k.ID)
		other.Uses = nil // ListKeys does not set it
		if err != nil || string(encode(other)) != string(encode(k)) {
			t.Errorf("key %s is %s, %v, want %s", k.ID, encode(other), err, encode(k))
		}
		versions, err := got.ListKeyVersions(t.Context(), k.ID)
		if err != nil || len(versions) != int(k.Version) {
			t.Errorf("key %s has %d versions, %v, want %d", k.ID, len(versions), err, k.Version)
		}
	}
	m := 0
	for _, err := range got.ListKeys(t.Context(), KeyFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		m++
	}
	if m != n {
		t.Errorf("the restored vault has %d keys, want %d", m, n)
	}
}

// sameLog compares the first records of two audit logs, and checks that the record of the
// restoration follows.
func sameLog(t *testing.T, got, want Client, size uint64) {
	t.Helper()
	var lines []string
	for r, err := range want.AuditRecords(t.Context(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Seq < size {
			lines = append(lines, string(encode(r)))
		}
	}
	for r, err := range got.AuditRecords(t.Context(), audit.Filter{}) {
		switch {
		case err != nil:
			t.Fatal(err)
		case r.Seq < size && string(encode(r)) != lines[r.Seq]:
			t.Errorf("audit record %d is %s, want %s", r.Seq, encode(r), lines[r.Seq])
		case r.Seq == size && r.Operation != string(OpRestoreVault):
			t.Errorf("audit record %d is of %s, want %s", r.Seq, r.Operation, OpRestoreVault)
		}
	}
}

// TestTornBackup truncates a backup at every byte, and changes bytes of it. Restore either
// restores it completely, or fails and leaves a directory that a later Restore accepts.
func TestTornBackup(t *testing.T) {
	t.Parallel()
	v, _ := newTestVault(t, testConfig())
	mustKey(t, v.As(DefaultOwner), KeyOptions{})
	saved, _ := testBackup(t, v.As(DefaultOwner), "")
	dir := filepath.Join(t.TempDir(), "restored")
	refused := func(what string, n int, b []byte) {
		t.Helper()
		r, err := Restore(t.Context(), dir, testConfig(), readersOf([][]byte{b}), passphrase(t, "backup"), passphrase(t, "new"))
		if err == nil {
			r.Close()
			t.Fatalf("Restore of a backup %s byte %d: nil, want an error", what, n)
		}
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnlock) && !errors.Is(err, ErrInvalid) {
			t.Fatalf("Restore of a backup %s byte %d: %v", what, n, err)
		}
	}
	// After the header the stream's reader treats every truncation in the same way.
	step := 1
	if testing.Short() {
		step = 37
	}
	for n := 0; n < len(saved); n += step {
		if n > 600 && n%211 != 0 {
			continue
		}
		refused("cut at", n, saved[:n])
		bad := bytes.Clone(saved)
		bad[n] ^= 1
		refused("changed at", n, bad)
	}
	refused("longer than it should be by", 1, append(bytes.Clone(saved), 0))
	r, err := Restore(t.Context(), dir, testConfig(), readersOf([][]byte{saved}), passphrase(t, "backup"), passphrase(t, "new"))
	if err != nil {
		t.Fatalf("Restore of the whole backup where the others were refused: %v", err)
	}
	closeChecked(t, r)
}

// TestRestoreRefuses checks the errors of Restore.
func TestRestoreRefuses(t *testing.T) {
	v, dir := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	full, first := testBackup(t, c, "")
	next, _ := testBackup(t, c, first.ID)
	other, _ := newTestVault(t, testConfig())
	foreign, _ := testBackup(t, other.As(DefaultOwner), "")
	good := passphrase(t, "backup")
	for name, row := range map[string]struct {
		dir     string
		from    [][]byte
		unlock  driver.Protector
		edition Edition
		want    error
	}{
		"over a vault":        {dir, [][]byte{full}, good, testEdition(), ErrExists},
		"nothing":             {"", nil, good, testEdition(), ErrInvalid},
		"incremental alone":   {"", [][]byte{next}, good, testEdition(), ErrInvalid},
		"the wrong way round": {"", [][]byte{next, full}, good, testEdition(), ErrInvalid},
		"two full ones":       {"", [][]byte{full, foreign}, good, testEdition(), ErrInvalid},
		"another edition":     {"", [][]byte{full}, good, otherEdition(), ErrInvalid},
		"a wrong passphrase":  {"", [][]byte{full}, passphrase(t, "wrong"), testEdition(), ErrUnlock},
		"the vault's own":     {"", [][]byte{full}, passphrase(t, "correct horse"), testEdition(), ErrUnlock},
		"no backup":           {"", [][]byte{[]byte(strings.Repeat("x", 1000))}, good, testEdition(), ErrCorrupt},
	} {
		if row.dir == "" {
			row.dir = filepath.Join(t.TempDir(), "restored")
		}
		cfg := Config{Edition: row.edition}
		r, err := Restore(t.Context(), row.dir, cfg, readersOf(row.from), row.unlock, passphrase(t, "new"))
		if err == nil {
			r.Close()
		}
		if !errors.Is(err, row.want) {
			t.Errorf("Restore of %s: %v, want %v", name, err, row.want)
		}
	}
	if _, err := c.Backup(t.Context(), nil, BackupOptions{}, good); !errors.Is(err, ErrInvalid) {
		t.Errorf("Backup to a nil writer: %v, want ErrInvalid", err)
	}
	if _, err := c.Backup(t.Context(), io.Discard, BackupOptions{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("Backup without protectors: %v, want ErrInvalid", err)
	}
	if _, err := c.Backup(t.Context(), io.Discard, BackupOptions{Since: "none"}, good); !errors.Is(err, ErrNotFound) {
		t.Errorf("Backup since an unknown one: %v, want ErrNotFound", err)
	}
	if _, err := v.As("stranger").Backup(t.Context(), io.Discard, BackupOptions{}, good); !errors.Is(err, ErrDenied) {
		t.Errorf("Backup by a stranger: %v, want ErrDenied", err)
	}
}

// TestBackupHasNoDestroyedMaterial: a backup does not restore imported material that was
// deleted before the backup ended.
func TestBackupHasNoDestroyedMaterial(t *testing.T) {
	t.Parallel()
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	imported := mustKey(t, c, KeyOptions{Origin: OriginExternal})
	if _, err := c.ImportKeyMaterial(ctx, imported.ID, newImportFixture(t, c, imported, ownKey(3)).material()); err != nil {
		t.Fatal(err)
	}
	full, first := testBackup(t, c, "")
	if err := c.DeleteImportedKeyMaterial(ctx, imported.ID); err != nil {
		t.Fatal(err)
	}
	next, _ := testBackup(t, c, first.ID)
	r, err := testRestore(t, full, next)
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, r)
	if k, err := r.As(DefaultOwner).DescribeKey(ctx, imported.ID); err != nil || k.State != PendingImport {
		t.Errorf("the key whose material was destroyed is %s, %v, want %s", k.State, err, PendingImport)
	}
}

// TestBackupUnderLoad backs up a vault that 64 goroutines use, and restores it: every
// ciphertext whose record is in the backup decrypts, and the logs agree.
func TestBackupUnderLoad(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	key := mustKey(t, c, KeyOptions{Alias: "load"})
	running, stop := context.WithCancel(ctx)
	var users sync.WaitGroup
	for i := range 64 {
		users.Go(func() {
			for running.Err() == nil {
				var err error
				switch {
				case i == 0:
					_, err = c.RotateKey(ctx, key.ID)
				case i < 4:
					_, err = c.CreateKey(ctx, KeyOptions{})
				default:
					_, err = c.Encrypt(ctx, key.ID, []byte("load"), nil)
				}
				if err != nil && !errors.Is(err, ErrThrottled) {
					t.Errorf("an operation beside Backup: %v", err)
					return
				}
			}
		})
	}
	full, first := testBackup(t, c, "")
	next, second := testBackup(t, c, first.ID)
	stop()
	users.Wait()
	for _, row := range []struct {
		backups [][]byte
		size    uint64
	}{{[][]byte{full}, first.AuditSize}, {[][]byte{full, next}, second.AuditSize}} {
		r, err := testRestore(t, row.backups...)
		if err != nil {
			t.Fatalf("Restore: %v", err)
		}
		rc := r.As(DefaultOwner)
		if err := rc.Check(ctx); err != nil {
			t.Errorf("Check after Restore: %v", err)
		}
		sameLog(t, rc, c, row.size)
		if _, err := rc.Encrypt(ctx, "load", []byte("more"), nil); err != nil {
			t.Errorf("Encrypt after Restore: %v", err)
		}
		closeChecked(t, r)
	}
}
