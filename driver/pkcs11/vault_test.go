//go:build cgo && unix

package pkcs11_test

import (
	"os"
	"path/filepath"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/testing/testtoken"
	"strongroom.example/internal/testing/vaultsuite"
	"strongroom.example/vault"
)

// TestVault runs the suite of package vaultsuite with a token as the default driver.
func TestVault(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		config := func(t *testing.T, token testtoken.PKCS11) vault.Config {
			return vault.Config{Drivers: map[string]driver.Driver{"token": open(t, token)}, Driver: "token"}
		}
		h := vaultsuite.Harness{
			Config: func(t *testing.T) vault.Config { return config(t, token) },
			Reopen: func(t *testing.T, _ vault.Config) vault.Config { return config(t, token) },
		}
		if token.Another != nil {
			h.Other = func(t *testing.T) vault.Config { return config(t, token.Another(t)) }
		}
		vaultsuite.Run(t, h)
	})
}

// TestVaultMovesIn: a vault that began with the software engine adds a token, as a
// protector and for its keys. Both protectors open it, and existing ciphertexts still
// decrypt.
func TestVaultMovesIn(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		ctx, dir, device := t.Context(), filepath.Join(t.TempDir(), "vault"), opened(t, token)
		word := soft.PassphraseParams{Memory: 64, Time: 1}.Passphrase([]byte("word"))
		guard := pkcs11.NewProtector(device)
		cfg := vault.Config{Drivers: map[string]driver.Driver{"token": device}}
		v, err := vault.Create(ctx, dir, cfg, word)
		if err != nil {
			t.Fatal(err)
		}
		c := v.As(vault.DefaultOwner)
		key, err := c.CreateKey(ctx, vault.KeyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var made [][]byte
		for range 3 {
			ct, err := c.Encrypt(ctx, key.ID, []byte("4711"), nil)
			if err != nil {
				t.Fatal(err)
			}
			made = append(made, ct)
			if _, err := c.RotateKey(ctx, key.ID); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.AddProtector(ctx, word, guard); err != nil {
			t.Fatal(err)
		}
		if receipts, err := c.MoveKey(ctx, key.ID, "token"); err != nil || len(receipts) != 4 {
			t.Fatalf("MoveKey: %d receipts, %v, want 4", len(receipts), err)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		for _, way := range []driver.Protector{guard, word} {
			opensBy(t, dir, cfg, way, made)
		}
	})
}

// TestVaultOrphans: an older copy of a vault does not know the key that was made after it
// was copied, and lists the key as an orphan. The vault itself and the protector's key in
// the token have none.
func TestVaultOrphans(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		ctx, dir, device := t.Context(), filepath.Join(t.TempDir(), "vault"), opened(t, token)
		guard := pkcs11.NewProtector(device)
		cfg := vault.Config{Drivers: map[string]driver.Driver{"token": device}, AcceptLossWithMachine: true}
		v, err := vault.Create(ctx, dir, cfg, guard)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		older := filepath.Join(t.TempDir(), "older")
		if err := os.CopyFS(older, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		orphansIn(t, dir, cfg, guard, 0, func(c vault.Client) {
			if _, err := c.CreateKey(ctx, vault.KeyOptions{Driver: "token"}); err != nil {
				t.Fatal(err)
			}
		})
		orphansIn(t, older, cfg, guard, 1, func(vault.Client) {})
	})
}

// orphansIn opens a vault, calls use, and checks the number of orphans in the token.
func orphansIn(t *testing.T, dir string, cfg vault.Config, guard driver.Protector, want int, use func(vault.Client)) {
	t.Helper()
	v, err := vault.Open(t.Context(), dir, cfg, guard)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	c := v.As(vault.DefaultOwner)
	use(c)
	if got, err := c.Orphans(t.Context(), "token"); err != nil || len(got) != want {
		t.Errorf("Orphans in %s: %v, error %v, want %d", dir, got, err, want)
	}
}

// opensBy opens a vault with one protector and decrypts earlier ciphertexts.
func opensBy(t *testing.T, dir string, cfg vault.Config, way driver.Protector, made [][]byte) {
	t.Helper()
	v, err := vault.Open(t.Context(), dir, cfg, way)
	if err != nil {
		t.Fatalf("Open by %s: %v", way.Kind(), err)
	}
	c := v.As(vault.DefaultOwner)
	for i, ct := range made {
		if got, err := c.Decrypt(t.Context(), ct, nil); err != nil || string(got) != "4711" {
			t.Errorf("Decrypt after opening by %s, version %d: %q, %v", way.Kind(), i+1, got, err)
		}
	}
	in, err := vault.Inspect(made[0])
	if err != nil {
		t.Fatal(err)
	}
	k, err := c.DescribeKey(t.Context(), in.Key)
	if err != nil || k.Level != cfg.Drivers["token"].Info().Level || k.Residence != vault.Resident || k.Provenance != vault.ProvenanceVault {
		t.Errorf("DescribeKey after opening by %s: %+v, %v, want a resident key of the token", way.Kind(), k, err)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}
