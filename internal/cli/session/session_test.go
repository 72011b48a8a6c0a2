package session

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/vault"
	"strongroom.example/vault/policy"
)

// opened returns a session with a new vault in a directory, whose protector is a key file.
func opened(t *testing.T, dir string) *Session {
	t.Helper()
	key := filepath.Join(dir, "key")
	s, err := New(t.Context(), Settings{Directory: filepath.Join(dir, "v"), Unlock: []string{"key-file:" + key}}, Options{})
	t.Cleanup(func() { s.Close() })
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.NewProtector(t.Context(), "new-key-file:"+key)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), []driver.Protector{p}); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestIgnorePolicies opens a vault whose policies keep its owner out.
func TestIgnorePolicies(t *testing.T) {
	s := opened(t, t.TempDir())
	if err := s.Release(); err != nil {
		t.Fatal(err)
	}
	protectors, err := s.unlockers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(t.Context(), s.Directory, vault.Config{Policies: policy.Cedar{}}, protectors...)
	if err != nil {
		t.Fatal(err)
	}
	_, err = policy.Put(t.Context(), v.As(vault.DefaultOwner), policy.Set{Cedar: `@id("put") permit(principal, action == Action::"PutPolicy", resource);`})
	if err := errors.Join(err, v.Close()); err != nil {
		t.Fatal(err)
	}
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Client().CreateKey(t.Context(), vault.KeyOptions{}); !errors.Is(err, vault.ErrDenied) {
		t.Errorf("the owner under the policies: %v, want ErrDenied", err)
	}
	if err := s.Release(); err != nil {
		t.Fatal(err)
	}
	s.options.IgnorePolicies = true
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Client().CreateKey(t.Context(), vault.KeyOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Vault.As("stranger").CreateKey(t.Context(), vault.KeyOptions{}); !errors.Is(err, vault.ErrDenied) {
		t.Errorf("another principal: %v, want ErrDenied", err)
	}
	for r, err := range s.Client().AuditRecords(t.Context(), audit.Filter{Operation: "CreateKey", Result: audit.OK}) {
		if err != nil || r.Rule != "strongroom --ignore-policies" {
			t.Errorf("the record has the rule %q, %v", r.Rule, err)
		}
	}
}

// TestSettings checks which configuration files are accepted.
func TestSettings(t *testing.T) {
	dir := t.TempDir()
	write := func(text string, mode os.FileMode) string {
		path := filepath.Join(dir, "config.json")
		os.Remove(path)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		os.Chmod(path, mode)
		return path
	}
	s, err := Load(write(`{"directory": "/v", "unlock": ["key-file:/k"], "devices": {"chip": "tpm:"}}`, 0o644))
	if err != nil || s.Directory != "/v" || !slices.Equal(s.Unlock, []string{"key-file:/k"}) || s.Devices["chip"] != "tpm:" {
		t.Errorf("a good file: %+v, %v", s, err)
	}
	for text, mode := range map[string]os.FileMode{`{}`: 0o666, `{"dir": "/v"}`: 0o600, `{`: 0o600, ``: 0o600} {
		if s, err := Load(write(text, mode)); !errors.Is(err, ErrSettings) {
			t.Errorf("the file %q of mode %o: %+v, %v", text, mode, s, err)
		}
	}
	t.Setenv("STRONGROOM_CONFIG", filepath.Join(dir, "absent"))
	if _, err := Load(""); err != nil {
		t.Errorf("no configuration file: %v", err)
	}
	if _, err := Load(filepath.Join(dir, "absent")); !errors.Is(err, ErrSettings) {
		t.Errorf("a file that is named and absent: %v", err)
	}
}

// TestSaveFor checks that a saved configuration opens the vault, and that it names nothing
// that only a person can give.
func TestSaveFor(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	path := filepath.Join(dir, "config", "strongroom", "config.json")
	specs := []string{"passphrase", "passphrase:fd:3", "new-recovery-code:x", "device:chip?pcrs=7", "passphrase:systemd:vault", "new-key-file:" + filepath.Join(dir, "key")}
	if err := s.SaveFor(path, specs); err != nil {
		t.Fatal(err)
	}
	saved, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"device:chip", "passphrase:systemd:vault", "key-file:" + filepath.Join(dir, "key")}; !slices.Equal(saved.Unlock, want) {
		t.Errorf("the file names %q, want %q", saved.Unlock, want)
	}
	if saved.VaultID != s.Vault.ID() || saved.LogKey != s.Vault.LogKey() {
		t.Error("the file does not pin the vault")
	}
	if err := s.SaveFor(path, specs); !errors.Is(err, os.ErrExist) {
		t.Errorf("the file is written again: %v", err)
	}
}

// TestProtectorRefuses checks that an error about a protector quotes nothing, because it may
// be a secret that was typed in the wrong place.
func TestProtectorRefuses(t *testing.T) {
	s, err := New(t.Context(), Settings{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, spec := range []string{"hunter2", "passphrase:hunter2", "recovery-code:hunter2", "key-file:", "device:", "new-key-file:", "key-file"} {
		for _, parse := range []func(context.Context, string) (driver.Protector, error){s.Protector, s.NewProtector} {
			if _, err := parse(t.Context(), spec); !errors.Is(err, ErrSettings) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("protector %q: %v", spec, err)
			}
		}
	}
}
