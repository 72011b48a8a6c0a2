// Openssl-sender receives secrets from senders that have only openssl and a public key, by RSA
// and by SM2. The private keys are in the vault and never leave it.
//
//	go run ./examples/openssl-sender
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"strongroom.example/driver/soft"
	"strongroom.example/examples/internal/demo"
	"strongroom.example/vault"
)

// A way is an algorithm, with the options by which openssl encrypts.
type way struct {
	spec    vault.KeySpec
	alg     vault.EncryptionAlgorithm
	options string
}

var ways = []way{
	{vault.RSA2048, vault.RSAESOAEPSHA256, "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256"},
	{vault.RSA2048, vault.RSAESOAEPSHA1, "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1"},
	{vault.RSA2048, vault.RSAESPKCS1V15, "-pkeyopt rsa_padding_mode:pkcs1"}, // for old senders only
	{vault.SM2, vault.SM2C1C3C2, ""},
}

func main() { demo.Main(run) }

func run(ctx context.Context, w io.Writer, dir string) (err error) {
	code, err := soft.NewRecoveryCode() // a real program keeps it
	if err != nil {
		return err
	}
	v, err := vault.Create(ctx, filepath.Join(dir, "vault"), vault.Config{}, code)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	c := v.As(vault.DefaultOwner)
	for _, spec := range []vault.KeySpec{vault.RSA2048, vault.SM2} {
		o := vault.KeyOptions{Alias: alias(spec), Usage: vault.AsymmetricDecrypt, Spec: spec}
		if _, err := c.CreateKey(ctx, o); err != nil {
			return err
		}
		public, err := c.PublicKey(ctx, alias(spec))
		if err != nil {
			return err
		}
		// The senders get this file. It is not secret, but must come from the receiver.
		if err := os.WriteFile(filepath.Join(dir, alias(spec)+".pem"), public.PEM(), 0o644); err != nil {
			return err
		}
	}
	for _, x := range ways {
		if err := x.try(ctx, w, c, dir); err != nil {
			return err
		}
	}
	return nil
}

func alias(s vault.KeySpec) string { return "inbox-" + strings.ToLower(string(s)) }

// try encrypts a secret as a sender does, and decrypts it in the vault.
func (x way) try(ctx context.Context, w io.Writer, c vault.Client, dir string) error {
	secret := []byte(rand.Text()) // 26 characters. The limit is 146 bytes for SM2, and less for no RSA key
	defer clear(secret)
	if err := os.WriteFile(filepath.Join(dir, "secret"), secret, 0o600); err != nil {
		return err
	}
	args := strings.Fields("pkeyutl -encrypt -pubin -inkey " + alias(x.spec) + ".pem -in secret -out sealed " + x.options)
	if _, err := demo.OpenSSL(ctx, w, dir, args...); err != nil {
		return err
	}
	sealed, err := os.ReadFile(filepath.Join(dir, "sealed"))
	if err != nil {
		return err
	}
	got, err := c.AsymmetricDecrypt(ctx, alias(x.spec), sealed, x.alg)
	if err != nil {
		return err
	}
	defer clear(got)
	if string(got) != string(secret) {
		return fmt.Errorf("%s: the secret came out changed", x.alg)
	}
	fmt.Fprintf(w, "%s: decrypted %d bytes to the sender's secret\n", x.alg, len(sealed))
	return nil
}
