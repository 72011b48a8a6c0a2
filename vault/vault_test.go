package vault

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/soft"
)

// A test that starts processes must not be parallel: until such a process executes its
// program it holds the locks of all vaults that are open here, and they cannot be opened
// again.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, memguardsOwn()) }

// memguardsOwn ignores the goroutine that memguard keeps for the process from its first
// enclave on.
func memguardsOwn() goleak.Option {
	return goleak.IgnoreTopFunction("github.com/awnumar/memguard/core.NewCoffer.func1")
}

// passphrase returns a protector with low cost.
func passphrase(t testing.TB, text string) driver.Protector {
	t.Helper()
	return soft.PassphraseParams{Memory: 64, Time: 1, Iterations: 1}.Passphrase([]byte(text))
}

// newTestVault makes a vault. Its cleanup checks every stored byte.
func newTestVault(t testing.TB, cfg Config) (*Vault, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "vault")
	v, err := Create(t.Context(), dir, countDecisions(cfg), passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeChecked(t, v) })
	return v, dir
}

func closeChecked(t testing.TB, v *Vault) {
	t.Helper()
	checkDecisions(t, v)
	err := v.As(DefaultOwner).Check(context.Background())
	if err != nil && !errors.Is(err, ErrClosed) {
		t.Errorf("integrity check: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func mustKey(t testing.TB, c Client, o KeyOptions) Key {
	t.Helper()
	k, err := c.CreateKey(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func reopened(t *testing.T, dir string) *Vault {
	t.Helper()
	v, err := Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		t.Fatalf("Open of %s: %v", dir, err)
	}
	return v
}

func TestEncryptRotateReopen(t *testing.T) {
	t.Parallel()
	for _, edition := range editions {
		t.Run(edition.String(), func(t *testing.T) {
			cfg := Config{Edition: edition}
			v, dir := newTestVault(t, cfg)
			c, ctx := v.As(DefaultOwner), t.Context()
			k := mustKey(t, c, KeyOptions{Alias: "invoices"})
			ec := EncryptionContext{"tenant": "7", "b": "1"}
			var made [][]byte
			for range 3 {
				ct, err := c.Encrypt(ctx, "invoices", []byte("4711"), ec)
				if err != nil {
					t.Fatal(err)
				}
				if len(ct) != 4+Overhead {
					t.Errorf("ciphertext has %d bytes", len(ct))
				}
				made = append(made, ct)
				if _, err := c.RotateKey(ctx, k.ID); err != nil {
					t.Fatal(err)
				}
			}
			closeChecked(t, v)
			v, err := Open(ctx, dir, cfg, passphrase(t, "wrong"), passphrase(t, "correct horse"))
			if err != nil {
				t.Fatal(err)
			}
			defer closeChecked(t, v)
			for i, ct := range made {
				got, err := v.As(DefaultOwner).Decrypt(ctx, ct, EncryptionContext{"b": "1", "tenant": "7"})
				if err != nil || string(got) != "4711" {
					t.Errorf("Decrypt with version %d: %q, error %v", i+1, got, err)
				}
				if in, err := Inspect(ct); err != nil || in.Key != k.ID || in.Version != uint32(i+1) {
					t.Errorf("Inspect: %+v, %v", in, err)
				}
			}
			versions, err := v.As(DefaultOwner).ListKeyVersions(ctx, "invoices")
			if err != nil || len(versions) != 4 {
				t.Errorf("ListKeyVersions: %d versions, error %v", len(versions), err)
			}
		})
	}
}

func TestProtectors(t *testing.T) {
	v, dir := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	ct, err := c.Encrypt(ctx, k.ID, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	first, second, third := passphrase(t, "correct horse"), passphrase(t, "second"), passphrase(t, "third")
	if _, err := c.AddProtector(ctx, second, second); !errors.Is(err, ErrUnlock) {
		t.Errorf("adding without a way in: %v", err)
	}
	if _, err := c.AddProtector(ctx, first, second); err != nil {
		t.Fatal(err)
	}
	all, err := c.ListProtectors(ctx)
	if err != nil || len(all) != 2 {
		t.Fatalf("ListProtectors: %d protectors, error %v", len(all), err)
	}
	if err := c.RemoveProtector(ctx, all[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveProtector(ctx, all[1].ID); !errors.Is(err, ErrInvalid) {
		t.Errorf("removing the last: %v", err)
	}
	v = reopenAs(t, v, dir, second, first)
	c = v.As(DefaultOwner)
	if err := c.RotateRoot(ctx, third); !errors.Is(err, ErrUnlock) {
		t.Errorf("RotateRoot without a protector that opens the vault: %v, want %v", err, ErrUnlock)
	}
	if _, err := c.AddProtector(ctx, second, third); err != nil {
		t.Fatal(err)
	}
	if err := c.RotateRoot(ctx, third); err != nil {
		t.Fatal(err)
	}
	v = reopenAs(t, v, dir, third, second)
	if got, err := v.As(DefaultOwner).Decrypt(ctx, ct, nil); err != nil || string(got) != "x" {
		t.Errorf("Decrypt after RotateRoot: %q, error %v", got, err)
	}
	closeChecked(t, v)
}

// reopenAs closes v and opens it with right, after an Open with wrong has failed.
func reopenAs(t *testing.T, v *Vault, dir string, right, wrong driver.Protector) *Vault {
	t.Helper()
	closeChecked(t, v)
	if _, err := Open(t.Context(), dir, testConfig(), wrong); !errors.Is(err, ErrUnlock) {
		t.Errorf("a protector that was removed: %v", err)
	}
	v, err := Open(t.Context(), dir, testConfig(), right)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAuditRecordsPrincipals(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	ctx := WithReason(WithRequestID(t.Context(), "r-1"), "test")
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{Alias: "a"})
	if _, err := c.Encrypt(ctx, "a", []byte("x"), EncryptionContext{"t": "1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.As("mallory").Encrypt(ctx, "a", nil, nil); !errors.Is(err, ErrDenied) {
		t.Fatal(err)
	}
	var got []string
	for r, err := range c.AuditRecords(ctx, audit.Filter{Key: k.ID}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Principal+" "+r.Operation+" "+string(r.Phase)+" "+string(r.Result))
	}
	want := []string{"owner CreateKey " + string(audit.Intent) + " ", "owner CreateKey " + string(audit.Outcome) + " OK",
		"owner Encrypt " + string(audit.Single) + " OK", "mallory Encrypt " + string(audit.Single) + " REFUSED"}
	if len(got) != len(want) {
		t.Fatalf("records %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("record %d: %q, want %q", i, got[i], want[i])
		}
	}
	var export bytes.Buffer
	if err := c.ExportAudit(ctx, &export); err != nil {
		t.Fatal(err)
	}
	report, err := audit.VerifyExport(bytes.NewReader(export.Bytes()), v.LogKey())
	if err != nil || report.Records < 6 {
		t.Errorf("export: %+v, %v", report, err)
	}
}
