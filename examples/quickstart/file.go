package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"strongroom.example/vault"
	"strongroom.example/vault/stream"
)

// encryptFile encrypts a file of any size under a data key of its own. The ciphertext of
// the data key is stored in the file's header. The file's name is the encryption context.
func encryptFile(ctx context.Context, clerk vault.Client, from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	key, err := clerk.GenerateDataKey(ctx, "files", vault.DataKeyDefault, contextOf(from))
	if err != nil {
		return err
	}
	defer key.Destroy()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	buffered := bufio.NewWriterSize(out, 1<<20)
	w, err := stream.NewWriter(buffered, stream.KeySuite, key)
	if err != nil {
		return err
	}
	shown, err := watch(in, "encrypt "+filepath.Base(from))
	if err != nil {
		return err
	}
	if _, err := io.CopyBuffer(w, shown, make([]byte, 256<<10)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return out.Close()
}

// decryptAndCompare decrypts a file and compares it with the original.
func decryptAndCompare(ctx context.Context, clerk vault.Client, sealed, original string) error {
	in, err := os.Open(sealed)
	if err != nil {
		return err
	}
	defer in.Close()
	shown, err := watch(in, "decrypt "+filepath.Base(original))
	if err != nil {
		return err
	}
	var key *vault.DataKey
	r, err := stream.NewReader(shown, func(ct []byte) (_ stream.DataKey, err error) {
		key, err = clerk.OpenDataKey(ctx, ct, contextOf(original))
		return key, err
	})
	if err != nil {
		return err
	}
	defer key.Destroy()
	defer r.Close()
	got, err := digest(r)
	if err != nil {
		return err
	}
	plain, err := os.Open(original)
	if err != nil {
		return err
	}
	defer plain.Close()
	want, err := digest(plain)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%s came back changed", original)
	}
	fmt.Printf("%s came back as it was (SHA-256 %x…)\n", filepath.Base(original), got[:8])
	return nil
}

func contextOf(file string) vault.EncryptionContext {
	return vault.EncryptionContext{"file": filepath.Base(file)}
}

func digest(r io.Reader) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	_, err = io.CopyBuffer(h, r, make([]byte, 256<<10))
	return [sha256.Size]byte(h.Sum(nil)), err
}
