package vaulttest_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"strongroom.example/driver/soft"
	"strongroom.example/vault"
	"strongroom.example/vault/vaulttest"
)

// A test that uses New instead needs neither a directory nor a protector.
func ExampleClock() {
	dir, err := os.MkdirTemp("", "vault")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	clock := vaulttest.NewClock(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))
	weak := soft.PassphraseParams{Memory: 8, Time: 1, Iterations: 1}.Passphrase([]byte("of a test"))
	v, err := vault.Create(ctx, filepath.Join(dir, "vault"), vault.Config{Clock: clock}, weak)
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()

	c := v.As(vault.DefaultOwner)
	k, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "old"})
	if err != nil {
		log.Fatal(err)
	}
	if err := c.DisableKeys(ctx, k.ID); err != nil {
		log.Fatal(err)
	}
	if _, err := c.ScheduleKeyDeletion(ctx, k.ID, 30); err != nil {
		log.Fatal(err)
	}
	for range 3 {
		k, err := c.DescribeKey(ctx, k.ID)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(clock.Now().Format(time.DateOnly), k.State)
		clock.Advance(15 * 24 * time.Hour)
	}
	// Output:
	// 2026-01-01 PendingDeletion
	// 2026-01-16 PendingDeletion
	// 2026-01-31 Destroyed
}
