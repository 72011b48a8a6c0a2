package vault

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/vault/internal/keyid"
	"strongroom.example/vault/internal/refusedopens"
)

// A invalidCall is a call with invalid input, the error that it must return, and a part of the
// error's text that says what to do.
type invalidCall struct {
	name string
	make func() error
	want error
	say  string
}

// checkRefused makes each mistake, and checks its error and that given returns the same as
// before.
func checkRefused[V comparable](t *testing.T, mistakes []invalidCall, given func() map[string]V) {
	t.Helper()
	for _, m := range mistakes {
		before := given()
		err := m.make()
		var e *Error
		if !errors.Is(err, m.want) || !errors.As(err, &e) || !strings.Contains(err.Error(), m.say) {
			t.Errorf("%s: %v, want %v that says %q", m.name, err, m.want, m.say)
		}
		if after := given(); !maps.Equal(before, after) {
			t.Errorf("%s changed what was there", m.name)
		}
	}
}

// TestBadInput: a call with invalid input returns a typed error whose text says what to do,
// and changes nothing except the audit log.
func TestBadInput(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k, off := mustKey(t, c, KeyOptions{Alias: "one"}), mustKey(t, c, KeyOptions{})
	pair, pending := mustKey(t, c, KeyOptions{Spec: ECCP256}), mustKey(t, c, KeyOptions{Origin: OriginExternal})
	if err := c.DisableKeys(ctx, off.ID); err != nil {
		t.Fatal(err)
	}
	ct, err := c.Encrypt(ctx, k.ID, nil, nil)
	if err != nil {
		t.Fatalf("empty plaintext, no encryption context: %v", err)
	}
	if got, err := c.Decrypt(ctx, ct, EncryptionContext{}); err != nil || len(got) != 0 {
		t.Errorf("Decrypt of an empty plaintext: %q, error %v", got, err)
	}
	dk, err := c.GenerateDataKey(ctx, k.ID, 32, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dk.Destroy()
	encrypt := func(c Client, key string, n int) func() error {
		return func() error { return second(c.Encrypt(ctx, key, make([]byte, n), nil)) }
	}
	create := func(o KeyOptions) func() error { return func() error { return second(c.CreateKey(ctx, o)) } }
	decrypt := func(ct []byte, ec EncryptionContext) func() error {
		return func() error { return second(c.Decrypt(ctx, ct, ec)) }
	}
	var none context.Context
	checkRefused(t, []invalidCall{
		{"plaintext of 4097 bytes", encrypt(c, k.ID, 4097), ErrTooLarge, "use a data key"},
		{"no context", func() error { return second(c.Encrypt(none, k.ID, nil, nil)) }, ErrInvalid, "context.Background()"},
		{"unknown key", encrypt(c, keyid.New([16]byte{1}), 1), ErrNotFound, "ListKeys"},
		{"unknown alias", encrypt(c, "nobody", 1), ErrNotFound, "ListKeys"},
		{"no key", encrypt(c, "", 1), ErrNotFound, "alias"},
		{"disabled key", encrypt(c, off.ID, 1), ErrKeyState, "EnableKeys"},
		{"key without material", encrypt(c, pending.ID, 1), ErrKeyState, "ImportKeyMaterial"},
		{"wrong usage", encrypt(c, pair.ID, 1), ErrUsage, "ENCRYPT_DECRYPT"},
		{"wrong usage to sign", func() error { return second(c.Sign(ctx, k.ID, nil, SignOptions{})) }, ErrUsage, "SIGN_VERIFY"},
		{"zero client", encrypt(Client{}, k.ID, 1), ErrDenied, "Vault.As"},
		{"empty principal", encrypt(v.As(""), k.ID, 1), ErrDenied, "Vault.As"},
		{"other principal", encrypt(v.As("mallory"), k.ID, 1), ErrDenied, "mallory may not Encrypt"},
		{"alias taken", create(KeyOptions{Alias: "one"}), ErrExists, "one"},
		{"bad alias", create(KeyOptions{Alias: "-x"}), ErrInvalid, "alias"},
		{"open usage", create(KeyOptions{Usage: "SIGN_VERIFY"}), ErrInvalid, "spec"},
		{"truncated ciphertext", decrypt(ct[:40], nil), ErrCiphertext, ""},
		{"wrong encryption context", decrypt(ct, EncryptionContext{"a": "b"}), ErrCiphertext, ""},
		{"no writer", func() error { return c.ExportAudit(ctx, nil) }, ErrInvalid, "nil"},
		{"no function", func() error { return dk.Use(nil) }, ErrInvalid, "nil"},
		{"no data key", func() error { return (*DataKey)(nil).Use(func([]byte) error { return nil }) }, ErrClosed, ""},
		{"no data key to seal", func() error { return second((*DataKey)(nil).AEAD()) }, ErrClosed, ""},
	}, func() map[string]uint64 { return countRecords(v) })
}

// TestBadDirectory: Create and Open return a typed error for an unusable directory, whose
// text says what to do, and leave each file unchanged.
func TestBadDirectory(t *testing.T) {
	if dir := os.Getenv(badDirectory); dir != "" {
		v, err := Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
		t.Log(err)
		if !errors.Is(err, ErrInUse) || v != nil {
			t.FailNow()
		}
		return
	}
	v, dir := newTestVault(t, testConfig())
	place := filepath.Dir(dir)
	plain := filepath.Join(place, "file")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	good, wrong := passphrase(t, "correct horse"), passphrase(t, "wrong")
	opening := func(dir string, p ...driver.Protector) func() error {
		return func() error { return second(Open(t.Context(), dir, testConfig(), p...)) }
	}
	creating := func(dir string, p ...driver.Protector) func() error {
		return func() error { return second(Create(t.Context(), dir, testConfig(), p...)) }
	}
	var none context.Context
	files := func() map[string][32]byte {
		all := digests(t, place)
		delete(all, filepath.Join(dir, refusedopens.File)) // counts the wrong passphrase
		return all
	}
	checkRefused(t, []invalidCall{
		{"opened twice", opening(dir, good), ErrInUse, "has to close it"},
		{"created while open", creating(dir, good), ErrExists, "choose another directory"},
	}, files)
	inAnotherProcess(t, dir)
	closeChecked(t, v)
	checkRefused(t, []invalidCall{
		{"created over a vault", creating(dir, good), ErrExists, "choose another directory"},
		{"wrong passphrase", opening(dir, wrong), ErrUnlock, "try another"},
		{"no protector to open by", opening(dir), ErrUnlock, "passphrase"},
		{"no protector to create with", creating(filepath.Join(place, "x")), ErrInvalid, "at least one protector"},
		{"no context to open in", func() error { return second(Open(none, dir, testConfig(), good)) }, ErrInvalid, "context.Background()"},
		{"no context to create in", func() error { return second(Create(none, filepath.Join(place, "x"), testConfig(), good)) }, ErrInvalid, "context.Background()"},
		{"other edition", func() error { return second(Open(t.Context(), dir, Config{Edition: otherEdition()}, good)) }, ErrInvalid, "Config.Edition"},
		{"missing directory", opening(filepath.Join(place, "no"), good), ErrNoVault, "mounted"},
		{"a file to open", opening(plain, good), ErrInvalid, "is a file"},
		{"a file for a directory", creating(filepath.Join(plain, "x"), good), ErrInvalid, "choose another"},
	}, files)
	tip := filepath.Join(dir, "tip")
	if err := os.Rename(tip, tip+".away"); err != nil {
		t.Fatal(err)
	}
	// Badger was opened before the error, and creates files of its own.
	checkRefused(t, []invalidCall{{"missing tip", opening(dir, good), ErrCorrupt, "put back a copy of the whole directory"}},
		func() map[string][32]byte { return digests(t, tip+".away") })
	for _, name := range []string{"root", "root.copy"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	checkRefused(t, []invalidCall{
		{"missing root file", opening(dir, good), ErrNoVault, "put one back"},
		{"created over a store without a root file", creating(dir, good), ErrExists, "restore the root file"},
		{"an empty directory", opening(empty, good), ErrNoVault, "put one back"},
	}, files)
}

// badDirectory is set in the child process of TestBadDirectory: the directory of a vault
// that is in use.
const badDirectory = "STRONGROOM_BAD_DIRECTORY"

// inAnotherProcess opens, in a child process, a vault that is open here.
func inAnotherProcess(t *testing.T, dir string) {
	t.Helper()
	before := digests(t, dir)
	cmd := exec.Command(os.Args[0], "-test.run=^TestBadDirectory$", "-test.v", "-edition="+testEdition().String())
	cmd.Env = append(os.Environ(), badDirectory+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "has to close it") {
		t.Errorf("a second process: %v\n%s", err, out)
	}
	if !maps.Equal(before, digests(t, dir)) {
		t.Error("a second process changed the files")
	}
}

// digests returns a hash of every file below a directory, and an entry for every directory.
func digests(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	sums := map[string][32]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		sums[path] = [32]byte{}
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		sums[path] = sha256.Sum256(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}
