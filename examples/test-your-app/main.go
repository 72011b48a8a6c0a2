// Test-your-app is a program whose tests need neither a device nor a wait: they let thirty days
// pass in a moment, and make a device fail when it is used.
//
//	go run ./examples/test-your-app
//	go test -v ./examples/test-your-app
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"strongroom.example/driver/soft"
	"strongroom.example/examples/internal/demo"
	"strongroom.example/vault"
)

// Notes are the program: texts of customers, encrypted under a key for each of them.
type Notes struct {
	Keys   vault.Client
	sealed map[string][]byte
}

// Put stores a customer's text.
func (n *Notes) Put(ctx context.Context, customer, text string) error {
	_, err := n.Keys.CreateKey(ctx, vault.KeyOptions{Alias: customer})
	if err != nil && !errors.Is(err, vault.ErrExists) {
		return err
	}
	var ct []byte
	err = vault.Retry(ctx, func(ctx context.Context) (err error) {
		ct, err = n.Keys.Encrypt(ctx, customer, []byte(text), nil)
		return err
	})
	if err != nil {
		return err
	}
	if n.sealed == nil {
		n.sealed = map[string][]byte{}
	}
	n.sealed[customer] = ct
	return nil
}

// Get returns a customer's text.
func (n *Notes) Get(ctx context.Context, customer string) (string, error) {
	text, err := n.Keys.Decrypt(ctx, n.sealed[customer], nil)
	return string(text), err
}

// Forget has the vault destroy a customer's key after thirty days. Until then support can take
// it back.
func (n *Notes) Forget(ctx context.Context, customer string) error {
	if err := n.Keys.DisableKeys(ctx, customer); err != nil {
		return err
	}
	_, err := n.Keys.ScheduleKeyDeletion(ctx, customer, 30)
	return err
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
	n := Notes{Keys: v.As(vault.DefaultOwner)}
	if err := n.Put(ctx, "alice", "calls on Monday"); err != nil {
		return err
	}
	text, err := n.Get(ctx, "alice")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "stored a note of %d characters, and read it\n", len(text))
	if err := n.Forget(ctx, "alice"); err != nil {
		return err
	}
	fmt.Fprintln(w, "the key of the note will be destroyed in 30 days; main_test.go does not wait for that")
	return nil
}
