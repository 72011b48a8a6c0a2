package vault

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPinnedVault: if Config pins a vault, another one that the same protector opens is
// rejected with ErrWrongVault, and none of its files changes.
func TestPinnedVault(t *testing.T) {
	t.Parallel()
	ctx, word := t.Context(), passphrase(t, "p")
	made := func(name string) (dir, id, logKey string) {
		dir = filepath.Join(t.TempDir(), name)
		v, err := Create(ctx, dir, testConfig(), word)
		if err != nil {
			t.Fatal(err)
		}
		defer closeChecked(t, v)
		return dir, v.ID(), v.LogKey()
	}
	dir, id, logKey := made("ours")
	other, otherID, _ := made("theirs")
	renamed, renamedID, renamedKey := made("renamed")
	pin := func(id, logKey string) Config {
		cfg := testConfig()
		cfg.VaultID, cfg.LogKey = id, logKey
		return cfg
	}
	for name, row := range map[string]struct {
		dir  string
		cfg  Config
		want error
	}{
		"ours by id":                   {dir, pin(id, ""), nil},
		"ours by log key":              {dir, pin("", logKey), nil},
		"ours by both":                 {dir, pin(id, logKey), nil},
		"theirs by our id":             {other, pin(id, ""), ErrWrongVault},
		"theirs by our log key":        {other, pin("", logKey), ErrWrongVault},
		"theirs by its id and our key": {other, pin(otherID, logKey), ErrWrongVault},
		"ours in capitals":             {dir, pin(strings.ToUpper(id), ""), ErrInvalid},
		"ours by half an id":           {dir, pin(id[:16], ""), ErrInvalid},
		"another log key of the name":  {renamed, pin(renamedID, renamedKey[:len(renamedKey)-4]+"AAA="), ErrWrongVault},
	} {
		if err := os.Remove(filepath.Join(row.dir, "lock")); err != nil {
			t.Fatal(err)
		}
		before := digests(t, row.dir)
		v, err := Open(ctx, row.dir, row.cfg, word)
		if !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
		if err == nil {
			closeChecked(t, v)
			continue
		}
		after := digests(t, row.dir)
		maps.DeleteFunc(after, func(path string, _ [32]byte) bool {
			return row.cfg.LogKey != "" && filepath.Base(path) == "lock" // locked before the log key is known
		})
		if !maps.Equal(before, after) {
			t.Errorf("%s: a file was changed", name)
		}
		if err := os.WriteFile(filepath.Join(row.dir, "lock"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, cfg := range map[string]Config{"id": pin(id, ""), "log key": pin("", logKey)} {
		fresh := filepath.Join(t.TempDir(), "fresh")
		if _, err := Create(ctx, fresh, cfg, word); !errors.Is(err, ErrInvalid) {
			t.Errorf("Create with a pinned %s: %v, want %v", name, err, ErrInvalid)
		}
		if _, err := os.Stat(fresh); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("Create with a pinned %s made the directory", name)
		}
	}
}

// TestPinAndTwin: a root file of another vault, beside the pinned vault's own, does not
// keep Open from opening the pinned vault.
func TestPinAndTwin(t *testing.T) {
	x, other := newTwinVault(t), newTwinVault(t)
	x.restore(t, map[string][]byte{"root.copy": nil})
	v, err := Open(t.Context(), x.dir, x.cfg, x.pass)
	if err != nil {
		t.Fatal(err)
	}
	x.cfg.VaultID, x.cfg.LogKey = v.ID(), v.LogKey()
	closeChecked(t, v)
	for _, file := range []string{"root", "root.copy"} {
		x.restore(t, map[string][]byte{file: other.root})
		if _, healed, err := x.open(t, x.pass); err != nil || healed[file] == "" {
			t.Errorf("%s is that of another vault: Open: %v, replaced files %v", file, err, healed)
		}
	}
}

// TestUnlockWork: protectors that would demand more work than Open permits are rejected
// when they are created.
func TestUnlockWork(t *testing.T) {
	cfg := testConfig()
	cfg.UnlockWork = 2
	v, dir := newTestVault(t, cfg)
	c, ctx, first := v.As(DefaultOwner), t.Context(), passphrase(t, "correct horse")
	if _, err := c.AddProtector(ctx, first, passphrase(t, "second")); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"AddProtector": second(c.AddProtector(ctx, first, passphrase(t, "third"))),
		"RotateRoot":   c.RotateRoot(ctx, first, passphrase(t, "third"), passphrase(t, "fourth")),
		"Create":       second(Create(ctx, filepath.Join(t.TempDir(), "v"), cfg, first, first, first)),
	} {
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v, want %v", name, err, ErrTooLarge)
		}
	}
	closeChecked(t, v)
	v, err := Open(ctx, dir, cfg, passphrase(t, "second"))
	if err != nil {
		t.Fatal(err)
	}
	closeChecked(t, v)
}
