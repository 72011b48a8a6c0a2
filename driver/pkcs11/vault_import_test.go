//go:build cgo && unix

package pkcs11_test

import (
	"crypto/rsa"
	"errors"
	"path/filepath"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/testing/testtoken"
	"strongroom.example/vault"
)

// TestVaultImportLength: material of a wrong length is ErrImport with every import
// method, and uses up an attempt. The right material can then be imported with another
// import token.
func TestVaultImportLength(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		cfg := vault.Config{Drivers: map[string]driver.Driver{"token": opened(t, token)}, Driver: "token"}
		v, err := vault.Create(t.Context(), filepath.Join(t.TempDir(), "vault"), cfg, soft.PassphraseParams{Memory: 64, Time: 1}.Passphrase([]byte("word")))
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		for alg, by := range map[vault.WrappingAlgorithm]driver.WrapAlg{
			vault.WrapRSAESOAEPSHA1: driver.WrapRSAOAEPSHA1, vault.WrapRSAAESSHA1: driver.WrapRSAAESKWP,
		} {
			t.Run(string(alg), func(t *testing.T) { importLengths(t, v.As(vault.DefaultOwner), alg, by) })
		}
	})
}

func importLengths(t *testing.T, c vault.Client, alg vault.WrappingAlgorithm, by driver.WrapAlg) {
	key, err := c.CreateKey(t.Context(), vault.KeyOptions{Origin: vault.OriginExternal})
	if err != nil {
		t.Fatal(err)
	}
	asked := func() (vault.ImportParameters, *rsa.PublicKey) {
		p, err := c.ParametersForImport(t.Context(), key.ID, vault.ImportRequest{Algorithm: alg})
		if err != nil {
			t.Fatal(err)
		}
		public, err := p.PublicKey.Parse()
		if err != nil {
			t.Fatal(err)
		}
		return p, public.(*rsa.PublicKey)
	}
	p, public := asked()
	brings := func(n int) error {
		m := vault.ImportMaterial{Token: p.Token, EncryptedMaterial: wrapBy(t, by, public, randomBytes(n))}
		_, err := c.ImportKeyMaterial(t.Context(), key.ID, m)
		return err
	}
	for _, n := range []int{16, 33, 48, 64, 128} {
		if err := brings(n); !errors.Is(err, vault.ErrImport) {
			t.Errorf("ImportKeyMaterial of %d bytes on path %s: %v, want ErrImport", n, p.Path, err)
		}
	}
	if p.Path == vault.PathHost && by.TwoSteps() {
		// Material that AES-KWP authenticated is refused because of its length, and does
		// not use up an attempt.
		if err := brings(32); err != nil {
			t.Errorf("ImportKeyMaterial of the right length after five wrong ones, path %s: %v", p.Path, err)
		}
		return
	}
	if err := brings(32); !errors.Is(err, vault.ErrImportToken) {
		t.Errorf("after five tries: %v, want ErrImportToken", err)
	}
	p, public = asked()
	if err := brings(32); err != nil {
		t.Errorf("ImportKeyMaterial of the right length, path %s: %v", p.Path, err)
	}
	t.Logf("path %s", p.Path)
}
