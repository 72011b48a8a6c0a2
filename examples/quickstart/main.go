// Quickstart does what Strongroom is for, on real files: it makes a vault and a
// key, encrypts files under data keys, rotates, decrypts and compares, tells from
// the audit who did what, verifies that audit offline, and shows that a flipped
// byte in a copy of the vault is found and named.
//
//	go run ./examples/quickstart [FILE...]
//
// Without files it takes one of this repository and one of 256 MiB that it makes.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"strongroom.example/driver/soft"
	"strongroom.example/vault"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	work, err := os.MkdirTemp("", "strongroom-quickstart-")
	if err == nil {
		err = run(ctx, work, os.Args[1:])
		os.RemoveAll(work)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// run is the whole walk; everything it writes is in work.
func run(ctx context.Context, work string, files []string) error {
	if len(files) == 0 {
		samples, err := makeSamples(work)
		if err != nil {
			return err
		}
		files = samples
	}
	// A program reads its passphrase from a person or a credential; this one makes
	// a recovery code, which any vault should have beside it.
	code, err := soft.NewRecoveryCode()
	if err != nil {
		return err
	}
	dir := filepath.Join(work, "vault")
	v, err := vault.Create(ctx, dir, vault.Config{}, code)
	if err != nil {
		return err
	}
	fmt.Println("vault", v.ID(), v.Edition(), "edition, opened by a recovery code")
	clerk := v.As(vault.DefaultOwner)
	err = walk(ctx, v, clerk, work, files)
	if closed := v.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return showDamage(ctx, dir, work, code)
}

// walk is what happens while the vault is open.
func walk(ctx context.Context, v *vault.Vault, clerk vault.Client, work string, files []string) error {
	key, err := clerk.CreateKey(ctx, vault.KeyOptions{Alias: "files", Description: "quickstart"})
	if err != nil {
		return err
	}
	fmt.Println("key  ", key.ID, "alias", key.Alias, "residence", key.Residence)
	for i, file := range files {
		sealed := filepath.Join(work, fmt.Sprintf("file-%d.sealed", i))
		if err := encryptFile(ctx, clerk, file, sealed); err != nil {
			return err
		}
		rotated, err := clerk.RotateKey(ctx, key.ID)
		if err != nil {
			return err
		}
		fmt.Println("rotated to version", rotated.Version)
		if err := decryptAndCompare(ctx, clerk, sealed, file); err != nil {
			return err
		}
	}
	return tellAudit(ctx, v, clerk, work)
}
