// Quickstart demonstrates Strongroom on real files. It creates a vault and a key,
// encrypts files under data keys, rotates the key, decrypts and compares, prints from the
// audit log who did what, verifies that log offline, and shows that a flipped bit in a
// copy of the vault is detected and located.
//
//	go run ./examples/quickstart [FILE...]
//
// Without arguments it uses one file of this repository, and one of 256 MiB that it
// generates.
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

// run runs the demonstration. It writes only below work.
func run(ctx context.Context, work string, files []string) error {
	if len(files) == 0 {
		samples, err := makeSamples(work)
		if err != nil {
			return err
		}
		files = samples
	}
	// A real program reads a passphrase from a person or a credential. This one uses a
	// recovery code, which every vault should have as a second protector.
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
	err = runSteps(ctx, v, clerk, work, files)
	if closed := v.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err := showDamage(ctx, dir, work, code); err != nil {
		return err
	}
	fmt.Println("\nread next: docs/guide.md, each use of a vault with an example to copy")
	return nil
}

// runSteps runs the part of the demonstration for which the vault is open.
func runSteps(ctx context.Context, v *vault.Vault, clerk vault.Client, work string, files []string) error {
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
	return showAudit(ctx, v, clerk, work)
}
