// Package vaulttest helps to test programs that use a vault. New makes a vault within
// milliseconds, and lets thirty days pass in one:
//
//	v := vaulttest.New(t)
//	c := v.As(vault.DefaultOwner)
//	… c.ScheduleKeyDeletion(ctx, key, 30)
//	v.Clock.Advance(30 * 24 * time.Hour)
//	… c.DescribeKey(ctx, key) returns a key that is Destroyed
//
// The vault is a real one, with the real store and the real cryptography. Only its
// passphrase is weak, and its time is that of Clock.
package vaulttest

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/vault"
)

// A Vault is an open vault for one test, with the clock by which it goes.
type Vault struct {
	*vault.Vault
	// Clock is Config.Clock. It is nil if the Config has a clock of another type.
	Clock *Clock

	t   testing.TB
	dir string
	cfg vault.Config
}

// New makes a vault in a temporary directory and opens it. Each function of configure may
// change the Config; its Clock shows the beginning of 2026 otherwise. When the test ends, the
// vault is closed and its directory removed. A failure ends the test.
//
// The directory is in memory (/dev/shm) where the system has that, because most of the time
// of a new vault is spent on waiting for the disk.
func New(t testing.TB, configure ...func(*vault.Config)) *Vault {
	t.Helper()
	v := &Vault{t: t, cfg: vault.Config{
		Clock: NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)),
		Scrub: vault.ScrubSchedule{BytesPerSecond: math.MaxInt32},
	}}
	for _, change := range configure {
		change(&v.cfg)
	}
	v.Clock, _ = v.cfg.Clock.(*Clock)
	for _, parent := range []string{"/dev/shm", t.TempDir()} {
		dir, err := os.MkdirTemp(parent, "vaulttest")
		if err != nil {
			continue
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		v.dir = filepath.Join(dir, "vault")
		v.Vault, err = vault.Create(t.Context(), v.dir, v.cfg, protector())
		if err == nil {
			t.Cleanup(v.end)
			return v
		}
		if !errors.Is(err, vault.ErrStorageFull) && !errors.Is(err, vault.ErrUnavailable) {
			t.Fatalf("vaulttest: %v", err)
		}
	}
	t.Fatalf("vaulttest: %s has no room for a vault", t.TempDir())
	return nil
}

// protector returns a protector that costs little.
func protector() driver.Protector {
	return soft.PassphraseParams{Memory: 8, Time: 1, Iterations: 1}.Passphrase([]byte("vaulttest"))
}

// Reopen closes the vault and opens it again with the same Config, as a restart of the
// program does. Clients of the old Vault fail with vault.ErrClosed.
func (v *Vault) Reopen() {
	v.t.Helper()
	if err := v.Close(); err != nil {
		v.t.Fatalf("vaulttest: %v", err)
	}
	var err error
	if v.Vault, err = vault.Open(v.t.Context(), v.dir, v.cfg, protector()); err != nil {
		v.t.Fatalf("vaulttest: %v", err)
	}
}

func (v *Vault) end() {
	if v.Vault == nil { // Reopen failed
		return
	}
	if err := v.Close(); err != nil {
		v.t.Errorf("vaulttest: %v", err)
	}
}
