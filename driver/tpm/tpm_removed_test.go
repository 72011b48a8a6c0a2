package tpm_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/vault"
)

// TestVaultWithoutTPM kills a TPM. A caller that uses one of its keys must get an error
// within the limit, and a result as soon as the TPM is back.
func TestVaultWithoutTPM(t *testing.T) {
	t.Parallel()
	s := newTPM(t)
	d := openConfig(t, tpm.Config{Device: "unix:" + s.Socket()})
	cfg := vault.Config{Drivers: map[string]driver.Driver{"tpm": d}, AcceptLossWithMachine: true}
	v, err := vault.Create(t.Context(), filepath.Join(t.TempDir(), "vault"), cfg, soft.PassphraseParams{Memory: 64, Time: 1}.Passphrase([]byte("word")))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	c := v.As(vault.DefaultOwner)
	key, err := c.CreateKey(t.Context(), vault.KeyOptions{Spec: vault.ECCP256, Usage: vault.SignVerify, Driver: "tpm"})
	if err != nil {
		t.Fatal(err)
	}
	sign := func() error {
		_, err := c.Sign(t.Context(), key.ID, []byte("message"), vault.SignOptions{})
		return err
	}
	for range 5 {
		if err := sign(); err != nil {
			t.Fatal(err)
		}
		s.Kill()
		for range 3 {
			lag, from := poll.Lag(), time.Now()
			err := sign()
			took := time.Since(from)
			if late := lag(); !errors.Is(err, vault.ErrUnavailable) || took > limit(late) {
				t.Errorf("%v after %v, where the machine was %v late", err, took, late)
			}
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	if err := sign(); err != nil {
		t.Error(err)
	}
}
