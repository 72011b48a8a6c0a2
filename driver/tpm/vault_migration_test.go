package tpm_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
	"strongroom.example/vault"
)

// A machine is a TPM and a directory with a vault that it protects. The TPM holds only
// the root, and no keys.
type machine struct {
	*tpm.Driver
	dir string
}

// newMachine creates a vault that a TPM and a recovery code open, and a ciphertext under
// one of its keys.
func newMachine(t *testing.T, s *testtoken.SWTPM, p tpm.Policy) (m machine, recovery driver.Protector, ciphertext []byte) {
	t.Helper()
	m = machine{openAt(t, s, ""), filepath.Join(t.TempDir(), "vault")}
	code, err := soft.NewRecoveryCode()
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Create(context.Background(), m.dir, vault.Config{}, protector(t, m.Driver, p), code)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	c := v.As(vault.DefaultOwner)
	key, err := c.CreateKey(context.Background(), vault.KeyOptions{Alias: "key"})
	if err != nil {
		t.Fatal(err)
	}
	if ciphertext, err = c.Encrypt(context.Background(), key.ID, []byte("plaintext"), nil); err != nil {
		t.Fatal(err)
	}
	return m, code, ciphertext
}

// opens opens a vault by protectors and decrypts.
func (m machine) opens(t *testing.T, ciphertext []byte, what string, p ...driver.Protector) {
	t.Helper()
	v, err := vault.Open(context.Background(), m.dir, vault.Config{}, p...)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	defer v.Close()
	if got, err := v.As(vault.DefaultOwner).Decrypt(context.Background(), ciphertext, nil); err != nil || string(got) != "plaintext" {
		t.Errorf("%s: %q, %v", what, got, err)
	}
}

// reseals protects a vault again by the TPM, as its owner does after examining why the
// machine's state changed.
func (m machine) reseals(t *testing.T, recovery, p driver.Protector) {
	t.Helper()
	ctx := context.Background()
	v, err := vault.Open(ctx, m.dir, vault.Config{}, recovery)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	c := v.As(vault.DefaultOwner)
	before, err := c.ListProtectors(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AddProtector(ctx, recovery, p); err != nil {
		t.Fatal(err)
	}
	for _, old := range before {
		if old.Kind == p.Kind() {
			if err := c.RemoveProtector(ctx, old.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (m machine) stays(t *testing.T, want error, what string, p ...driver.Protector) {
	t.Helper()
	v, err := vault.Open(context.Background(), m.dir, vault.Config{}, p...)
	if err == nil {
		v.Close()
	}
	if !errors.Is(err, want) || errors.Is(err, vault.ErrWrongDevice) != (want == vault.ErrWrongDevice) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// TestVaultOnAnotherMachine copies a vault to another machine, which has another TPM.
func TestVaultOnAnotherMachine(t *testing.T) {
	m, recovery, ciphertext := newMachine(t, newTPM(t), tpm.Policy{})
	other := machine{openFresh(t), filepath.Join(t.TempDir(), "vault")}
	if err := os.CopyFS(other.dir, os.DirFS(m.dir)); err != nil {
		t.Fatal(err)
	}
	here, there := protector(t, m.Driver, tpm.Policy{}), protector(t, other.Driver, tpm.Policy{})
	m.opens(t, ciphertext, "at home", here)
	other.stays(t, vault.ErrWrongDevice, "on another machine", there)
	other.opens(t, ciphertext, "there by the recovery code", there, recovery)
	other.opens(t, ciphertext, "there by the TPM from then on", there)
	m.opens(t, ciphertext, "at home as before", here)
}

// TestVaultAfterClear clears the TPM, as a firmware setup does.
func TestVaultAfterClear(t *testing.T) {
	s := newTPM(t)
	m, recovery, ciphertext := newMachine(t, s, tpm.Policy{})
	m.Do(func(c transport.TPM) error { clearTPM(t, c); return nil })
	m.stays(t, vault.ErrWrongDevice, "by the driver of before", protector(t, m.Driver, tpm.Policy{}))
	m.Close()
	m.Driver = openAt(t, s, "")
	p := protector(t, m.Driver, tpm.Policy{})
	m.stays(t, vault.ErrWrongDevice, "by the TPM that was cleared", p)
	m.opens(t, ciphertext, "by the recovery code", p, recovery)
	m.opens(t, ciphertext, "by the TPM from then on", p)
}

// TestVaultAfterFirmwareUpdate changes the firmware's measurements.
func TestVaultAfterFirmwareUpdate(t *testing.T) {
	t.Run("PCRs", func(t *testing.T) {
		policy := tpm.Policy{PCRs: []uint{0, 7}}
		m, recovery, ciphertext := newMachine(t, newTPM(t), policy)
		p := protector(t, m.Driver, policy)
		m.opens(t, ciphertext, "before", p)
		extend(t, m.Driver, 0)
		m.stays(t, vault.ErrUnlock, "after", p)
		m.opens(t, ciphertext, "by the recovery code", p, recovery)
		m.stays(t, vault.ErrUnlock, "nothing was sealed again in passing", p)
		m.reseals(t, recovery, p)
		m.opens(t, ciphertext, "protected again", p)
		extend(t, m.Driver, 7)
		m.stays(t, vault.ErrUnlock, "after the next change", p)
	})
	t.Run("approved", func(t *testing.T) {
		s := newTPM(t)
		d := openAt(t, s, "")
		key, now := newApprover(t, d)
		d.Close()
		policy := tpm.Policy{Approver: &key.PublicKey, Approvals: []tpm.Approval{now}}
		m, _, ciphertext := newMachine(t, s, policy)
		m.opens(t, ciphertext, "before", protector(t, m.Driver, policy))
		extend(t, m.Driver, 0)
		m.stays(t, vault.ErrUnlock, "after, not yet approved", protector(t, m.Driver, policy))
		policy.Approvals = append(policy.Approvals, approve(t, m.Driver, key))
		m.opens(t, ciphertext, "after, approved", protector(t, m.Driver, policy))
	})
}
