// Envelope-files encrypts a directory under one data key, which the vault makes and the files
// carry encrypted in their headers. The bulk of the data never passes through the vault or a
// device, files may have any size, and a changed or shortened file is refused.
//
//	go run ./examples/envelope-files
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"strongroom.example/driver/soft"
	"strongroom.example/examples/internal/demo"
	"strongroom.example/vault"
	"strongroom.example/vault/stream"
)

// purpose binds the data key to what it is for.
var purpose = vault.EncryptionContext{"tenant": "7", "month": "2026-11"}

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
	if _, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "files"}); err != nil {
		return err
	}
	// One data key for all files of a tenant and a month. How many share one is the caller's
	// choice: a reader of one plaintext key can open all of them.
	key, err := c.GenerateDataKey(ctx, "files", vault.DataKeyDefault, purpose)
	if err != nil {
		return err
	}
	defer key.Destroy()
	for name, size := range map[string]int64{"small.bin": 1, "large.bin": 32 << 20} {
		if err := seal(filepath.Join(dir, name), size, key); err != nil {
			return err
		}
	}
	fmt.Fprintln(w, "sealed a file of 1 byte and one of 32 MiB under one data key: the vault was called once")
	// After a rotation the old data keys still open.
	if _, err := c.RotateKey(ctx, "files"); err != nil {
		return err
	}
	for _, name := range []string{"small.bin", "large.bin"} {
		n, err := open(ctx, c, filepath.Join(dir, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "opened %s: %d bytes\n", name, n)
	}
	if err := os.Truncate(filepath.Join(dir, "large.bin"), 1<<20); err != nil {
		return err
	}
	n, err := open(ctx, c, filepath.Join(dir, "large.bin"))
	if !errors.Is(err, stream.ErrStream) {
		return fmt.Errorf("a file that was cut off opened to %d bytes: %v", n, err)
	}
	fmt.Fprintln(w, "large.bin, cut off after 1 MiB, is refused:", err)
	return nil
}

// seal writes size random bytes, sealed, to a file.
func seal(path string, size int64, key *vault.DataKey) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	s, err := stream.NewWriter(f, stream.KeySuite, key)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(s, rand.Reader, size); err != nil { // a real program copies from a file
		return err
	}
	return errors.Join(s.Close(), f.Close()) // Close writes the end, without which nothing opens
}

// open reads a sealed file, and returns the number of its bytes. Bytes that were read before
// an error are authentic, but not complete: use a result only after the last byte.
func open(ctx context.Context, c vault.Client, path string) (n int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var key *vault.DataKey
	defer func() { key.Destroy() }() // does nothing for nil
	r, err := stream.NewReader(f, func(ciphertext []byte) (_ stream.DataKey, err error) {
		key, err = c.OpenDataKey(ctx, ciphertext, purpose)
		return key, err
	})
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(io.Discard, r)
}
