package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"strongroom.example/driver"
	"strongroom.example/vault"
)

// showDamage flips one bit of the stored data in a copy of the vault, and shows that the
// vault detects and locates the damage.
func showDamage(ctx context.Context, dir, work string, by driver.Protector) error {
	copied := filepath.Join(work, "copy")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		return err
	}
	file, at, err := flip(filepath.Join(copied, "store"))
	if err != nil {
		return err
	}
	fmt.Printf("\nflipped one bit of byte %d of %s in a copy of the vault\n", at, file)
	v, err := vault.Open(ctx, copied, vault.Config{}, by)
	if err == nil {
		err = v.As(vault.DefaultOwner).Check(ctx)
		v.Close()
	}
	if !errors.Is(err, vault.ErrCorrupt) && !errors.Is(err, vault.ErrRolledBack) {
		return fmt.Errorf("the damage was not found: %v", err)
	}
	fmt.Println("found:", err)
	return nil
}

// flip changes one bit in the middle of the largest run of stored records, in a table or
// in the log of the newest records.
func flip(store string) (name string, at int, err error) {
	var content []byte
	err = filepath.WalkDir(store, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".sst" && !strings.HasPrefix(d.Name(), "redo") {
			return err
		}
		b, err := os.ReadFile(path)
		if trimmed := bytes.TrimRight(b, "\x00"); len(trimmed) > at {
			name, at, content = path, len(trimmed), b
		}
		return err
	})
	if err != nil || content == nil {
		return "", 0, errors.Join(err, errors.New("no stored records found"))
	}
	at /= 2
	content[at] ^= 1
	if err := os.Chmod(name, 0o600); err != nil {
		return "", 0, err
	}
	return filepath.Base(name), at, os.WriteFile(name, content, 0o600)
}
