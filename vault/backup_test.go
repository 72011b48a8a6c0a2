package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/internal/testing/heavy"
	"strongroom.example/internal/testing/poll"
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
		sameKey(t, got, k)
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

// sameKey compares a key of a vault with want, and checks its versions.
func sameKey(t *testing.T, got Client, want Key) {
	t.Helper()
	k, err := got.DescribeKey(t.Context(), want.ID)
	k.Uses = nil // neither ListKeys nor CreateKey sets it
	if err != nil || string(encode(k)) != string(encode(want)) {
		t.Errorf("key %s is %s, %v, want %s", want.ID, encode(k), err, encode(want))
	}
	versions, err := got.ListKeyVersions(t.Context(), want.ID)
	if err != nil || len(versions) != int(want.Version) {
		t.Errorf("key %s has %d versions, %v, want %d", want.ID, len(versions), err, want.Version)
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

// tornBackup, if it is "all", makes TestTornBackup try every byte.
const tornBackup = "STRONGROOM_TORN_BACKUP"

// TestTornBackup truncates a backup at each of the first 600 bytes and at every 211th after
// them, and changes these bytes. Restore refuses all of that, and leaves a directory in which
// a later Restore of the whole backup succeeds.
func TestTornBackup(t *testing.T) {
	t.Parallel()
	every := heavy.All(t, tornBackup)
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
	if testing.Short() && !every {
		step = 37
	}
	for n := 0; n < len(saved); n += step {
		if !every && n > 600 && n%211 != 0 {
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

// A loadState is what the users of a vault under load have received up to a moment.
type loadState struct {
	ciphertexts map[string][]byte // by plaintext, each of which is encrypted once
	keys        map[string]Key    // by id
	version     uint32            // of the key that is used
}

// A vaultLoad is 64 goroutines that use a vault, and what they have received.
type vaultLoad struct {
	client Client
	key    string
	users  sync.WaitGroup
	mu     sync.Mutex
	state  loadState
}

// startLoad lets 64 goroutines encrypt with a key, rotate it and make other keys until ctx
// ends. An operation that began before that is completed.
func startLoad(ctx context.Context, t *testing.T, c Client, key Key) *vaultLoad {
	l := &vaultLoad{client: c, key: key.ID, state: loadState{map[string][]byte{}, map[string]Key{}, key.Version}}
	for i := range 64 {
		l.users.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := l.use(t.Context(), i, n); err != nil && !errors.Is(err, ErrThrottled) {
					t.Errorf("an operation beside Backup: %v", err)
					return
				}
			}
		})
	}
	return l
}

// use makes the n-th call of a goroutine, and keeps its result.
func (l *vaultLoad) use(ctx context.Context, goroutine, n int) error {
	var keep func(*loadState)
	var err error
	switch {
	case goroutine == 0:
		var k Key
		k, err = l.client.RotateKey(ctx, l.key)
		keep = func(s *loadState) { s.version = k.Version }
	case goroutine < 4:
		var k Key
		k, err = l.client.CreateKey(ctx, KeyOptions{})
		keep = func(s *loadState) { s.keys[k.ID] = k }
	default:
		var ct []byte
		plain := fmt.Sprintf("load %d.%d", goroutine, n)
		ct, err = l.client.Encrypt(ctx, l.key, []byte(plain), nil)
		keep = func(s *loadState) { s.ciphertexts[plain] = ct }
	}
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		keep(&l.state)
	}
	return err
}

// received returns what the goroutines have received until now.
func (l *vaultLoad) received() loadState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return loadState{maps.Clone(l.state.ciphertexts), maps.Clone(l.state.keys), l.state.version}
}

// checkLoad checks the vault c, restored from a backup that began after before was received,
// and ended before all was. It has every result of before, and each later one either whole or
// not at all.
func (l *vaultLoad) checkLoad(t *testing.T, c Client, before, all loadState) {
	t.Helper()
	l.checkCiphertexts(t, c, before, all)
	for id, k := range all.keys {
		_, acknowledged := before.keys[id]
		if _, err := c.DescribeKey(t.Context(), id); acknowledged || !errors.Is(err, ErrNotFound) {
			sameKey(t, c, k)
		}
	}
	for k, err := range c.ListKeys(t.Context(), KeyFilter{}) {
		if _, made := all.keys[k.ID]; err != nil || !made && k.ID != l.key {
			t.Errorf("the restored vault has key %q, %v, which was not made", k.ID, err)
		}
	}
	if k, err := c.DescribeKey(t.Context(), l.key); err != nil || k.Version < before.version || k.Version > all.version {
		t.Errorf("the key that was rotated has version %d, %v, want %d to %d", k.Version, err, before.version, all.version)
	}
}

// checkCiphertexts decrypts all ciphertexts. Those from before must decrypt, and those that
// were received later may.
func (l *vaultLoad) checkCiphertexts(t *testing.T, c Client, before, all loadState) {
	t.Helper()
	var users sync.WaitGroup
	plaintexts := make(chan string)
	for range 64 {
		users.Go(func() {
			for plain := range plaintexts {
				_, acknowledged := before.ciphertexts[plain]
				got, err := c.Decrypt(t.Context(), all.ciphertexts[plain], nil)
				if err == nil && string(got) != plain || err != nil && acknowledged {
					t.Errorf("Decrypt of a ciphertext, from before Backup: %v: %q, %v, want %q", acknowledged, got, err, plain)
				}
			}
		})
	}
	for plain := range all.ciphertexts {
		plaintexts <- plain
	}
	close(plaintexts)
	users.Wait()
}

// TestBackupUnderLoad backs up a vault that 64 goroutines use, and restores it: every
// ciphertext that was received before Backup began decrypts, every key and every rotation from
// before is there, and the logs agree.
func TestBackupUnderLoad(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	running, stop := context.WithCancel(ctx)
	defer stop()
	load := startLoad(running, t, c, mustKey(t, c, KeyOptions{Alias: "load"}))
	poll.Until(t, "every kind of result was received", func() bool {
		s := load.received()
		return len(s.ciphertexts) >= 200 && len(s.keys) >= 3 && s.version >= 3
	})
	beforeFull := load.received()
	full, first := testBackup(t, c, "")
	beforeNext := load.received()
	next, second := testBackup(t, c, first.ID)
	stop()
	load.users.Wait()
	all := load.received()
	t.Logf("%d, %d and %d ciphertexts before the first backup, before the second and in all",
		len(beforeFull.ciphertexts), len(beforeNext.ciphertexts), len(all.ciphertexts))
	for _, row := range []struct {
		backups [][]byte
		size    uint64
		before  loadState
	}{{[][]byte{full}, first.AuditSize, beforeFull}, {[][]byte{full, next}, second.AuditSize, beforeNext}} {
		r, err := testRestore(t, row.backups...)
		if err != nil {
			t.Fatalf("Restore: %v", err)
		}
		rc := r.As(DefaultOwner)
		if err := rc.Check(ctx); err != nil {
			t.Errorf("Check after Restore: %v", err)
		}
		sameLog(t, rc, c, row.size)
		load.checkLoad(t, rc, row.before, all)
		if _, err := rc.Encrypt(ctx, "load", []byte("more"), nil); err != nil {
			t.Errorf("Encrypt after Restore: %v", err)
		}
		closeChecked(t, r)
	}
}
