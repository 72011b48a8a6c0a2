// Config-secrets keeps the secrets of a configuration file encrypted: the file holds
// ciphertexts, and the program decrypts them when it starts. Each ciphertext is bound to its
// name, so that one value cannot be put in the place of another.
//
//	go run ./examples/config-secrets
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"strongroom.example/driver/soft"
	"strongroom.example/examples/internal/demo"
	"strongroom.example/vault"
)

// A config is a configuration file. encoding/json writes the ciphertexts as base64.
type config struct {
	Listen  string            `json:"listen"`
	Secrets map[string][]byte `json:"secrets"`
}

func main() { demo.Main(run) }

func run(ctx context.Context, w io.Writer, dir string) (err error) {
	v, err := create(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	c := v.As(vault.DefaultOwner)
	if _, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "config"}); err != nil {
		return err
	}
	// An operator does this once for each secret.
	file := filepath.Join(dir, "config.json")
	conf := config{Listen: ":8080", Secrets: map[string][]byte{}}
	for _, name := range []string{"database", "smtp"} {
		secret, err := c.GenerateRandom(ctx, 24) // in a real program: the password that the database knows
		if err != nil {
			return err
		}
		if conf.Secrets[name], err = c.Encrypt(ctx, "config", secret, purpose(name)); err != nil {
			return err
		}
		clear(secret)
	}
	if err := save(file, conf); err != nil {
		return err
	}
	fmt.Fprintln(w, "wrote config.json, whose secrets are ciphertexts")
	// The program does this at each start.
	loaded, err := load(file)
	if err != nil {
		return err
	}
	password, err := c.Decrypt(ctx, loaded.Secrets["database"], purpose("database"))
	if err != nil {
		return err
	}
	defer clear(password)
	fmt.Fprintf(w, "decrypted the secret \"database\": %d bytes\n", len(password))
	// A ciphertext in another's place does not decrypt, because its context differs.
	_, err = c.Decrypt(ctx, loaded.Secrets["smtp"], purpose("database"))
	if !errors.Is(err, vault.ErrCiphertext) {
		return fmt.Errorf("the secret \"smtp\" in the place of \"database\": %v", err)
	}
	fmt.Fprintln(w, "the secret \"smtp\" in the place of \"database\" is refused:", err)
	return nil
}

// create makes a vault that opens by a key file, so that the program starts without a person,
// and by a recovery code. On a machine with a TPM, use the protector of driver/tpm instead of
// the key file: the key file protects as well as the rights of the directory that it is in.
func create(ctx context.Context, dir string) (*vault.Vault, error) {
	keyFile := filepath.Join(dir, "machine.key") // never beside the vault, and not in its backup
	if err := soft.CreateKeyFile(keyFile); err != nil {
		return nil, err
	}
	code, err := soft.NewRecoveryCode() // a real program prints it with AppendCode, for a safe
	if err != nil {
		return nil, err
	}
	defer code.Wipe()
	return vault.Create(ctx, filepath.Join(dir, "vault"), vault.Config{}, soft.KeyFile(keyFile), code)
}

// purpose is the encryption context of a secret. It is not secret itself.
func purpose(name string) vault.EncryptionContext {
	return vault.EncryptionContext{"app": "billing", "secret": name}
}

func save(path string, c config) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

func load(path string) (c config, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(text, &c)
}
