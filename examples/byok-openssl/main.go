// Byok-openssl imports a key that openssl made, in the four steps and by each of the three
// algorithms, deletes it and imports it again. The same key under the same CMK makes the
// old ciphertexts readable again.
//
//	go run ./examples/byok-openssl
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"strongroom.example/driver/soft"
	"strongroom.example/examples/internal/demo"
	"strongroom.example/vault"
)

// options are those by which openssl wraps. Choose OAEP with SHA-256, if there is a choice.
var options = []struct {
	alg  vault.WrappingAlgorithm
	args string
}{
	{vault.WrapRSAESOAEPSHA256, "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256"},
	{vault.WrapRSAESOAEPSHA1, "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1"},
	{vault.WrapRSAESPKCS1V15, "-pkeyopt rsa_padding_mode:pkcs1"},
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
	// Step 1: a CMK without material.
	if _, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "ours", Origin: vault.OriginExternal}); err != nil {
		return err
	}
	var ct []byte
	for i, o := range options {
		if err := bring(ctx, w, c, dir, i); err != nil {
			return err
		}
		if ct == nil {
			if ct, err = c.Encrypt(ctx, "ours", []byte("4711"), nil); err != nil {
				return err
			}
		}
		if _, err := c.Decrypt(ctx, ct, nil); err != nil {
			return err
		}
		fmt.Fprintf(w, "imported by %s: the ciphertext decrypts\n", o.alg)
		// Expiry does the same at ValidTo. The owner still has the material.
		if err := c.DeleteImportedKeyMaterial(ctx, "ours"); err != nil {
			return err
		}
		if _, err := c.Decrypt(ctx, ct, nil); !errors.Is(err, vault.ErrKeyState) {
			return fmt.Errorf("without material: %v", err)
		}
		fmt.Fprintln(w, "deleted the material: nothing decrypts until it is imported again")
	}
	return nil
}

// bring does steps 2 to 4.
func bring(ctx context.Context, w io.Writer, c vault.Client, dir string, i int) error {
	o := options[i]
	// Step 2: a public key for the owner of the material, and a token, valid for 24 hours.
	p, err := c.ParametersForImport(ctx, "ours", vault.ImportRequest{Algorithm: o.alg})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "public_key.der"), p.PublicKey.DER, 0o644); err != nil {
		return err
	}
	// Step 3: the owner makes the material, once, and encrypts it to the public key.
	if i == 0 {
		if _, err := demo.OpenSSL(ctx, w, dir, "rand", "-out", "raw_material.bin", strconv.Itoa(p.MaterialSize)); err != nil {
			return err
		}
	}
	wrap := "pkeyutl -encrypt -in raw_material.bin -out encrypted_material.bin -inkey public_key.der -keyform DER -pubin " + o.args
	if _, err := demo.OpenSSL(ctx, w, dir, strings.Fields(wrap)...); err != nil {
		return err
	}
	wrapped, err := os.ReadFile(filepath.Join(dir, "encrypted_material.bin"))
	if err != nil {
		return err
	}
	// Step 4: the import. At ValidTo the vault destroys the material.
	_, err = c.ImportKeyMaterial(ctx, "ours", vault.ImportMaterial{
		Token: p.Token, EncryptedMaterial: wrapped, ValidTo: time.Now().AddDate(1, 0, 0),
	})
	return err
}
