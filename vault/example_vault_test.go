package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"strongroom.example/audit"
	"strongroom.example/driver/soft"
	"strongroom.example/vault"
)

// A full backup, and an incremental one, restored on a new machine.
func ExampleRestore() {
	ctx := context.Background()
	v, done := newVault(vault.Config{})
	defer done()
	c := v.As(vault.DefaultOwner)
	_, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "invoices"})
	check(err)
	ct, err := c.Encrypt(ctx, "invoices", []byte("4711"), nil)
	check(err)
	code, err := soft.NewRecoveryCode() // for the backups; print it and keep it on paper
	check(err)
	var full, changes bytes.Buffer // a program uses files
	first, err := c.Backup(ctx, &full, vault.BackupOptions{}, code)
	check(err)
	_, err = c.CreateKey(ctx, vault.KeyOptions{Alias: "contracts"})
	check(err)
	_, err = c.Backup(ctx, &changes, vault.BackupOptions{Since: first.ID}, code)
	check(err)

	dir, err := os.MkdirTemp("", "example-")
	check(err)
	defer os.RemoveAll(dir)
	restored, err := vault.Restore(ctx, filepath.Join(dir, "keys"), vault.Config{}, []io.Reader{&full, &changes}, code, code)
	check(err)
	defer restored.Close()
	plaintext, err := restored.As(vault.DefaultOwner).Decrypt(ctx, ct, nil)
	check(err)
	fmt.Printf("%s\n", plaintext)
	// Output: 4711
}

// The id and the log key pin the vault: Open rejects another vault in the same directory,
// even if the protector opens it. Note them after Create and keep them outside the
// directory.
func ExampleOpen_pinned() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example-")
	check(err)
	defer os.RemoveAll(dir)
	code, err := soft.NewRecoveryCode()
	check(err)
	v, err := vault.Create(ctx, filepath.Join(dir, "keys"), vault.Config{}, code)
	check(err)
	pinned := vault.Config{VaultID: v.ID(), LogKey: v.LogKey()}
	check(v.Close())
	other, err := vault.Create(ctx, filepath.Join(dir, "other"), vault.Config{}, code)
	check(err)
	check(other.Close())

	_, err = vault.Open(ctx, filepath.Join(dir, "other"), pinned, code)
	fmt.Println(errors.Is(err, vault.ErrWrongVault))
	v, err = vault.Open(ctx, filepath.Join(dir, "keys"), pinned, code)
	check(err)
	check(v.Close())
	// Output: true
}

// A second protector opens the vault as well. Adding one needs a protector that opens the
// vault now.
func ExampleClient_AddProtector() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example-")
	check(err)
	defer os.RemoveAll(dir)
	dir = filepath.Join(dir, "keys")
	code, err := soft.NewRecoveryCode()
	check(err)
	v, err := vault.Create(ctx, dir, vault.Config{}, code)
	check(err)
	added, err := v.As(vault.DefaultOwner).AddProtector(ctx, code, soft.Passphrase([]byte("read this from a person")))
	check(err)
	fmt.Println(added.Kind)
	check(v.Close())

	v, err = vault.Open(ctx, dir, vault.Config{}, soft.Passphrase([]byte("read this from a person")))
	check(err)
	defer v.Close()
	fmt.Println(v.Edition())
	// Output:
	// passphrase
	// STANDARD
}

// An Authorizer that allows an application only to encrypt.
func ExampleAuthorizer() {
	ctx := context.Background()
	v, done := newVault(vault.Config{Authorizer: onlyEncrypt{}})
	defer done()
	_, err := v.As(vault.DefaultOwner).CreateKey(ctx, vault.KeyOptions{Alias: "invoices"})
	check(err)
	app := v.As("application")
	ct, err := app.Encrypt(ctx, "invoices", []byte("4711"), nil)
	fmt.Println("encrypt:", err)
	_, err = app.Decrypt(ctx, ct, nil)
	fmt.Println("decrypt is denied:", errors.Is(err, vault.ErrDenied))
	// Output:
	// encrypt: <nil>
	// decrypt is denied: true
}

type onlyEncrypt struct{}

func (onlyEncrypt) Authorize(_ context.Context, r vault.Request) (vault.Decision, error) {
	switch {
	case r.Principal == vault.DefaultOwner:
		return vault.Decision{Allow: true, Rule: "owner"}, nil
	case r.Principal == "application" && r.Operation == vault.OpEncrypt:
		return vault.Decision{Allow: true, Rule: "application encrypts"}, nil
	}
	return vault.Decision{Rule: "default"}, nil
}

// The audit log of one key.
func ExampleClient_AuditRecords() {
	ctx := context.Background()
	v, done := newVault(vault.Config{})
	defer done()
	c := v.As(vault.DefaultOwner)
	key, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "invoices"})
	check(err)
	ct, err := c.Encrypt(vault.WithReason(ctx, "ticket 12"), "invoices", []byte("4711"), nil)
	check(err)
	_, err = c.Decrypt(ctx, ct, nil)
	check(err)
	for r, err := range c.AuditRecords(ctx, audit.Filter{Key: key.ID, Operation: string(vault.OpEncrypt)}) {
		check(err)
		fmt.Println(r.Principal, r.Operation, r.Result, r.Reason)
	}
	// Output: owner Encrypt OK ticket 12
}

// An export is verified elsewhere, with the public key of the log alone.
func ExampleClient_ExportAudit() {
	ctx := context.Background()
	v, done := newVault(vault.Config{})
	defer done()
	c := v.As(vault.DefaultOwner)
	_, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "invoices"})
	check(err)
	var export bytes.Buffer
	check(c.ExportAudit(ctx, &export))
	logKey := v.LogKey() // note it when the vault is created

	_, err = audit.VerifyExport(bytes.NewReader(export.Bytes()), logKey)
	fmt.Println("whole:", err)
	_, err = audit.VerifyExport(bytes.NewReader(bytes.Replace(export.Bytes(), []byte("CreateKey"), []byte("DeleteKey"), 1)), logKey)
	fmt.Println("changed is found:", err != nil)
	// Output:
	// whole: <nil>
	// changed is found: true
}

// A recovery code is printed once, and typed when it is needed.
func ExampleOpen() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example-")
	check(err)
	defer os.RemoveAll(dir)
	dir = filepath.Join(dir, "keys")
	code, err := soft.NewRecoveryCode()
	check(err)
	paper := code.AppendCode(nil)
	v, err := vault.Create(ctx, dir, vault.Config{}, code)
	check(err)
	id, logKey := v.ID(), v.LogKey()
	check(v.Close())
	code.Wipe()

	code, err = soft.ParseRecoveryCode(paper)
	check(err)
	v, err = vault.Open(ctx, dir, vault.Config{VaultID: id, LogKey: logKey}, code)
	check(err)
	defer v.Close()
	fmt.Println(v.ID() == id)
	// Output: true
}
