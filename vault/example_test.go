package vault_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"strongroom.example/driver/soft"
	"strongroom.example/vault"
	"strongroom.example/vault/stream"
)

// A vault, a key, and one small message.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	pass := soft.Passphrase([]byte("read this from a person"))
	v, err := vault.Create(ctx, filepath.Join(dir, "keys"), vault.Config{}, pass)
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	c := v.As(vault.DefaultOwner)
	key, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "invoices"})
	if err != nil {
		log.Fatal(err)
	}
	ct, err := c.Encrypt(ctx, key.ID, []byte("4711"), vault.EncryptionContext{"tenant": "7"})
	if err != nil {
		log.Fatal(err)
	}
	pt, err := c.Decrypt(ctx, ct, vault.EncryptionContext{"tenant": "7"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", pt)
	// Output: 4711
}

// A stream of any size under a data key of its own.
func ExampleClient_GenerateDataKey() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	v, err := vault.Create(ctx, filepath.Join(dir, "keys"), vault.Config{}, soft.Passphrase([]byte("read this from a person")))
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	c := v.As(vault.DefaultOwner)
	if _, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "files"}); err != nil {
		log.Fatal(err)
	}

	key, err := c.GenerateDataKey(ctx, "files", vault.DataKeyDefault, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer key.Destroy()
	var sealed bytes.Buffer
	w, err := stream.NewWriter(&sealed, stream.KeySuite, key)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(w, "a long story")
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	var again *vault.DataKey
	r, err := stream.NewReader(&sealed, func(ct []byte) (_ stream.DataKey, err error) {
		again, err = c.OpenDataKey(ctx, ct, nil)
		return again, err
	})
	again.Destroy() // the reader does not need it any more
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	story, err := io.ReadAll(r)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", story)
	// Output: a long story
}
