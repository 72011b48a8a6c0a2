package vault_test

import (
	"bytes"
	"crypto"
	"crypto/fips140"
	"errors"
	"slices"
	"testing"

	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/internal/testing/redacttest"
	"strongroom.example/vault"
	"strongroom.example/vault/vaulttest"
)

// TestDataKeyPairs makes a pair of each spec, decrypts the private key, and checks that it
// belongs to the public key.
func TestDataKeyPairs(t *testing.T) {
	v := vaulttest.New(t)
	c, ctx := v.As(vault.DefaultOwner), t.Context()
	cmk, err := c.CreateKey(ctx, vault.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ec := vault.EncryptionContext{"purpose": "pair"}
	specs := []vault.KeySpec{vault.RSA2048, vault.ECCP256, vault.ECCP384, vault.ECCP521, vault.Ed25519}
	if fips140.Enforced() {
		if _, err := c.GenerateDataKeyPair(ctx, cmk.ID, vault.SM2, nil); !errors.Is(err, vault.ErrUnsupported) {
			t.Errorf("SM2 in a process that enforces FIPS 140: %v", err)
		}
	} else {
		specs = append(specs, vault.SM2)
	}
	if !testing.Short() {
		specs = append(specs, vault.RSA4096) // the longest private key
	}
	for _, spec := range specs {
		p, err := c.GenerateDataKeyPair(ctx, cmk.ID, spec, ec)
		if err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		redacttest.Silent(t, p, p.PrivateKey)
		belongs := func(private []byte) {
			t.Helper()
			key, err := smx509.ParsePKCS8PrivateKey(private)
			if err != nil {
				t.Fatalf("%s: %v", spec, err)
			}
			public, err := smx509.MarshalPKIXPublicKey(key.(crypto.Signer).Public())
			if err != nil || !bytes.Equal(public, p.PublicKey) {
				t.Errorf("%s: the private key is of another public key: %v", spec, err)
			}
		}
		belongs(p.PrivateKey)
		opened, err := c.Decrypt(ctx, p.Ciphertext, ec)
		if err != nil || !bytes.Equal(opened, p.PrivateKey) {
			t.Errorf("%s: Decrypt: %v", spec, err)
		}
		if _, err := c.Decrypt(ctx, p.Ciphertext, nil); !errors.Is(err, vault.ErrCiphertext) {
			t.Errorf("%s: Decrypt without the context: %v", spec, err)
		}
		if p, err = c.GenerateDataKeyPairWithoutPlaintext(ctx, cmk.ID, spec, ec); err != nil || p.PrivateKey != nil {
			t.Fatalf("%s: %d bytes of the private key, %v", spec, len(p.PrivateKey), err)
		}
		if opened, err = c.Decrypt(ctx, p.Ciphertext, ec); err != nil {
			t.Fatal(err)
		}
		belongs(opened)
	}
	for _, spec := range []vault.KeySpec{"", vault.Symmetric, vault.HMAC256, "RSA_1024"} {
		if _, err := c.GenerateDataKeyPair(ctx, cmk.ID, spec, nil); !errors.Is(err, vault.ErrInvalid) {
			t.Errorf("spec %q: %v", spec, err)
		}
	}
	described, err := c.DescribeKey(ctx, cmk.ID)
	if want := uint64(2 * len(specs)); err != nil || described.Uses.Protected != want {
		t.Errorf("%d uses, not %d: %v", described.Uses.Protected, want, err)
	}
}

// TestAsymmetricEncrypt encrypts to the public key of a CMK, and decrypts with the private one.
func TestAsymmetricEncrypt(t *testing.T) {
	v := vaulttest.New(t)
	c, ctx := v.As(vault.DefaultOwner), t.Context()
	for _, x := range []struct {
		spec  vault.KeySpec
		alg   vault.EncryptionAlgorithm
		limit int
	}{
		{vault.RSA2048, "", 190}, {vault.RSA2048, vault.RSAESOAEPSHA256, 190}, {vault.RSA2048, vault.RSAESOAEPSHA1, 214},
		{vault.SM2, "", 146}, {vault.SM2, vault.SM2C1C3C2, 146},
	} {
		if fips140.Enforced() && (x.alg == vault.RSAESOAEPSHA1 || x.spec == vault.SM2) {
			continue // the process refuses SHA-1 and SM2 then
		}
		k, err := c.CreateKey(ctx, vault.KeyOptions{Spec: x.spec, Usage: vault.AsymmetricDecrypt})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, x.limit} {
			plain := slices.Repeat([]byte{'p'}, n)
			ct, err := c.AsymmetricEncrypt(ctx, k.ID, plain, x.alg)
			if err != nil {
				t.Fatalf("%s %s: %v", x.spec, x.alg, err)
			}
			if got, err := c.AsymmetricDecrypt(ctx, k.ID, ct, x.alg); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%s %s, %d bytes: %q %v", x.spec, x.alg, n, got, err)
			}
		}
		if _, err := c.AsymmetricEncrypt(ctx, k.ID, make([]byte, x.limit+1), x.alg); !errors.Is(err, vault.ErrTooLarge) {
			t.Errorf("%s %s, above the limit: %v", x.spec, x.alg, err)
		}
		if x.spec == vault.SM2 {
			if _, err := c.AsymmetricEncrypt(ctx, k.ID, nil, x.alg); !errors.Is(err, vault.ErrInvalid) {
				t.Errorf("nothing by SM2: %v", err)
			}
			continue
		}
		if _, err := c.AsymmetricEncrypt(ctx, k.ID, nil, vault.RSAESPKCS1V15); !errors.Is(err, vault.ErrUnsupported) {
			t.Errorf("by PKCS #1 v1.5: %v", err)
		}
	}
}
