//go:build cgo && unix

package pkcs11_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/testing/oddkeys"
	"strongroom.example/internal/testing/testtoken"
	"strongroom.example/vault"
)

// newTokenVault makes a vault with a SoftHSM token as the default driver.
func newTokenVault(t *testing.T) vault.Client {
	t.Helper()
	cfg := vault.Config{Drivers: map[string]driver.Driver{"token": opened(t, testtoken.NewSoftHSM(t))}, Driver: "token"}
	v, err := vault.Create(t.Context(), filepath.Join(t.TempDir(), "vault"), cfg, soft.PassphraseParams{Memory: 64, Time: 1}.Passphrase([]byte("word")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return v.As(vault.DefaultOwner)
}

// oddKey returns a row of the table of odd keys.
func oddKey(t *testing.T, name string) oddkeys.Row {
	t.Helper()
	rows := oddkeys.Table(t)
	n := slices.IndexFunc(rows, func(r oddkeys.Row) bool { return r.Name == name })
	if n < 0 {
		t.Fatalf("the table of odd keys has no %q", name)
	}
	return rows[n]
}

// send imports a file on path DEVICE.
func send(t *testing.T, c vault.Client, key string, p vault.ImportParameters, file, public []byte) error {
	t.Helper()
	parsed, err := p.PublicKey.Parse()
	if err != nil {
		t.Fatal(err)
	}
	alg := map[vault.WrappingAlgorithm]driver.WrapAlg{vault.WrapRSAAESSHA1: driver.WrapRSAAESKWP, vault.WrapRSAAESSHA256: driver.WrapRSAAESKWPSHA256}[p.Algorithm]
	_, err = c.ImportKeyMaterial(t.Context(), key, vault.ImportMaterial{Token: p.Token, PublicKey: public,
		EncryptedMaterial: wrapBy(t, alg, parsed.(*rsa.PublicKey), file)})
	return err
}

// TestVaultDeviceRefusalsCount: a private key that the token unwraps, and that is refused
// because of its public key, is an ErrImport with the reason, and uses up one of five
// attempts.
func TestVaultDeviceRefusalsCount(t *testing.T) {
	c := newTokenVault(t)
	row := oddKey(t, "RSA e = 2^32 + 15")
	key, err := c.CreateKey(t.Context(), vault.KeyOptions{Origin: vault.OriginExternal, Spec: vault.RSA2048, Usage: vault.SignVerify})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.ParametersForImport(t.Context(), key.ID, vault.ImportRequest{})
	if err != nil || p.Path != vault.PathDevice {
		t.Fatalf("ParametersForImport of a private key: path %s, %v, want path %s", p.Path, err, vault.PathDevice)
	}
	for i := range 5 {
		if err := send(t, c, key.ID, p, row.File, nil); !errors.Is(err, vault.ErrImport) || errors.Is(err, vault.ErrImportToken) || !strings.Contains(err.Error(), row.Fault) {
			t.Errorf("try %d: ImportKeyMaterial of %s: %v, want ErrImport with %q", i+1, row.Name, err, row.Fault)
		}
	}
	if err := send(t, c, key.ID, p, row.File, nil); !errors.Is(err, vault.ErrImportToken) {
		t.Errorf("ImportKeyMaterial after five refused keys: %v, want ErrImportToken", err)
	}
}

// TestVaultDeviceExpectedPublicKey: the token does not show that the private number in a
// file does not match the public key in it. If the owner gives the expected public key,
// the CMK is not bound to the wrong key, and accepts the right one afterwards.
func TestVaultDeviceExpectedPublicKey(t *testing.T) {
	c := newTokenVault(t)
	key, err := c.CreateKey(t.Context(), vault.KeyOptions{Origin: vault.OriginExternal, Spec: vault.ECCP256})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.ParametersForImport(t.Context(), key.ID, vault.ImportRequest{Path: vault.PathDevice})
	if err != nil {
		t.Fatal(err)
	}
	good := oddKey(t, "EC from openssl").File
	parsed, err := x509.ParsePKCS8PrivateKey(good)
	if err != nil {
		t.Fatal(err)
	}
	number, err := parsed.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(parsed.(*ecdsa.PrivateKey).Public())
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(number)
	changed[16] ^= 1
	damaged := bytes.Replace(good, number, changed, 1)
	if err := send(t, c, key.ID, p, damaged, public); !errors.Is(err, vault.ErrImport) || !strings.Contains(err.Error(), "PublicKey") {
		t.Errorf("ImportKeyMaterial of a damaged file, with its public half named: %v, want ErrImport", err)
	}
	if err := send(t, c, key.ID, p, good, public); err != nil {
		t.Errorf("ImportKeyMaterial of the right file afterwards: %v", err)
	}
}
