package vault_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/driver/soft"
	"strongroom.example/vault"
)

// newVault makes a vault in a temporary directory, with a recovery code as its protector.
// The caller calls done at the end.
func newVault(cfg vault.Config) (v *vault.Vault, done func()) {
	dir, err := os.MkdirTemp("", "example-")
	check(err)
	code, err := soft.NewRecoveryCode()
	check(err)
	v, err = vault.Create(context.Background(), filepath.Join(dir, "keys"), cfg, code)
	check(err)
	return v, func() {
		v.Close()
		os.RemoveAll(dir)
	}
}

// After a rotation the new version makes new ciphertexts. Old ciphertexts still decrypt.
func ExampleClient_RotateKey() {
	ctx := context.Background()
	v, done := newVault(vault.Config{})
	defer done()
	c := v.As(vault.DefaultOwner)
	_, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "invoices"})
	check(err)
	old, err := c.Encrypt(ctx, "invoices", []byte("4711"), nil)
	check(err)
	key, err := c.RotateKey(ctx, "invoices")
	check(err)
	fmt.Println("primary version", key.Version)
	plaintext, err := c.Decrypt(ctx, old, nil)
	check(err)
	fmt.Printf("%s\n", plaintext)
	// Output:
	// primary version 2
	// 4711
}

// ReEncrypt changes the key of a ciphertext, or only its version, without releasing the
// plaintext.
func ExampleClient_ReEncrypt() {
	ctx := context.Background()
	v, done := newVault(vault.Config{})
	defer done()
	c := v.As(vault.DefaultOwner)
	for _, alias := range []string{"old", "new"} {
		_, err := c.CreateKey(ctx, vault.KeyOptions{Alias: alias})
		check(err)
	}
	ct, err := c.Encrypt(ctx, "old", []byte("4711"), vault.EncryptionContext{"tenant": "7"})
	check(err)
	ct, err = c.ReEncrypt(ctx, ct, "new", vault.EncryptionContext{"tenant": "7"}, vault.EncryptionContext{"tenant": "8"})
	check(err)
	plaintext, err := c.Decrypt(ctx, ct, vault.EncryptionContext{"tenant": "8"})
	check(err)
	fmt.Printf("%s\n", plaintext)
	// Output: 4711
}

// The public key and the standard library verify a signature of the vault.
func ExampleClient_Sign() {
	ctx := context.Background()
	v, done := newVault(vault.Config{})
	defer done()
	c := v.As(vault.DefaultOwner)
	_, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "releases", Spec: vault.ECCP256})
	check(err)
	signature, err := c.Sign(ctx, "releases", []byte("v1.2.3"), vault.SignOptions{})
	check(err)

	public, err := c.PublicKey(ctx, "releases")
	check(err)
	key, err := public.Parse()
	check(err)
	digest := sha256.Sum256([]byte("v1.2.3"))
	fmt.Println(ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), digest[:], signature))
	// Output: true
}

// A Signer is a crypto.Signer: here it signs its own certificate, as for a TLS server.
func ExampleClient_Signer() {
	ctx := context.Background()
	v, done := newVault(vault.Config{})
	defer done()
	c := v.As(vault.DefaultOwner)
	_, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "tls", Spec: vault.ECCP256})
	check(err)
	signer, err := c.Signer(ctx, "tls")
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "server.example"}, DNSNames: []string{"server.example"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().AddDate(0, 3, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	check(err)
	certificate, err := x509.ParseCertificate(der)
	check(err)
	fmt.Println(certificate.Subject, certificate.SignatureAlgorithm)
	// Output: CN=server.example ECDSA-SHA256
}

// A sender needs the public key only.
func ExampleClient_AsymmetricDecrypt() {
	ctx := context.Background()
	v, done := newVault(vault.Config{})
	defer done()
	c := v.As(vault.DefaultOwner)
	_, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "inbox", Spec: vault.RSA2048, Usage: vault.AsymmetricDecrypt})
	check(err)
	public, err := c.PublicKey(ctx, "inbox")
	check(err)
	key, err := public.Parse()
	check(err)
	ct, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, key.(*rsa.PublicKey), []byte("4711"), nil)
	check(err)

	plaintext, err := c.AsymmetricDecrypt(ctx, "inbox", ct, vault.RSAESOAEPSHA256)
	check(err)
	fmt.Printf("%s\n", plaintext)
	// Output: 4711
}

// A Decrypter is a crypto.Decrypter.
func ExampleClient_Decrypter() {
	ctx := context.Background()
	v, done := newVault(vault.Config{})
	defer done()
	c := v.As(vault.DefaultOwner)
	_, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "inbox", Spec: vault.RSA2048, Usage: vault.AsymmetricDecrypt})
	check(err)
	decrypter, err := c.Decrypter(ctx, "inbox")
	check(err)
	ct, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, decrypter.Public().(*rsa.PublicKey), []byte("4711"), nil)
	check(err)
	plaintext, err := decrypter.Decrypt(nil, ct, &rsa.OAEPOptions{Hash: crypto.SHA256})
	check(err)
	fmt.Printf("%s\n", plaintext)
	// Output: 4711
}

func ExampleClient_GenerateMac() {
	ctx := context.Background()
	v, done := newVault(vault.Config{})
	defer done()
	c := v.As(vault.DefaultOwner)
	_, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "cookies", Spec: vault.HMAC256})
	check(err)
	mac, err := c.GenerateMac(ctx, "cookies", []byte("user=7"))
	check(err)
	good, err := c.VerifyMac(ctx, "cookies", []byte("user=7"), mac)
	check(err)
	forged, err := c.VerifyMac(ctx, "cookies", []byte("user=1"), mac)
	check(err)
	fmt.Println(len(mac), good, forged)
	// Output: 32 true false
}

// Asymmetric keys are replaced, not rotated: the alias moves to the new key in one step.
func ExampleClient_MoveAlias() {
	ctx := context.Background()
	v, done := newVault(vault.Config{})
	defer done()
	c := v.As(vault.DefaultOwner)
	_, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "releases", Spec: vault.ECCP256})
	check(err)
	next, err := c.CreateKey(ctx, vault.KeyOptions{Spec: vault.ECCP384})
	check(err)
	check(c.MoveAlias(ctx, "releases", next.ID))
	key, err := c.DescribeKey(ctx, "releases")
	check(err)
	fmt.Println(key.Spec)
	// Output: ECC_P384
}

// Compare errors with errors.Is. An *Error has the details.
func ExampleError() {
	ctx := context.Background()
	v, done := newVault(vault.Config{})
	defer done()
	c := v.As(vault.DefaultOwner)
	_, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "invoices"})
	check(err)
	check(c.DisableKeys(ctx, "invoices"))
	_, err = c.Encrypt(ctx, "invoices", []byte("4711"), nil)
	var detail *vault.Error
	if errors.Is(err, vault.ErrKeyState) && errors.As(err, &detail) {
		fmt.Println(detail.Op, detail.State)
	}
	// Output: Encrypt Disabled
}

func ExampleClient_ListKeys() {
	ctx := context.Background()
	v, done := newVault(vault.Config{})
	defer done()
	c := v.As(vault.DefaultOwner)
	for _, o := range []vault.KeyOptions{
		{Alias: "live", Tags: map[string]string{"env": "live"}}, {Alias: "test", Tags: map[string]string{"env": "test"}},
	} {
		_, err := c.CreateKey(ctx, o)
		check(err)
	}
	for key, err := range c.ListKeys(ctx, vault.KeyFilter{Tags: map[string]string{"env": "live"}}) {
		check(err)
		fmt.Println(key.Alias, key.Spec)
	}
	// Output: live SYMMETRIC_DEFAULT
}

// A wrapped key moves into a device, and its ciphertexts do not change. A program passes
// the driver of its HSM or TPM; this example uses the device of package drivertest.
func ExampleClient_MoveKey() {
	ctx := context.Background()
	v, done := newVault(vault.Config{Drivers: map[string]driver.Driver{"hsm": drivertest.NewMemory()}})
	defer done()
	c := v.As(vault.DefaultOwner)
	_, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "invoices"})
	check(err)
	ct, err := c.Encrypt(ctx, "invoices", []byte("4711"), nil)
	check(err)
	_, err = c.MoveKey(ctx, "invoices", "hsm")
	check(err)
	key, err := c.DescribeKey(ctx, "invoices")
	check(err)
	plaintext, err := c.Decrypt(ctx, ct, nil)
	check(err)
	fmt.Printf("%s %s %s\n", key.Driver, key.Residence, plaintext)
	// Output: hsm RESIDENT 4711
}
