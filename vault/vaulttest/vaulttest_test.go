package vaulttest_test

import (
	"errors"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/vault"
	"strongroom.example/vault/vaulttest"
)

const day = 24 * time.Hour

// TestThirtyDays: what is due has happened when Advance returns, also after Reopen.
func TestThirtyDays(t *testing.T) {
	dir := t.TempDir()
	v := vaulttest.New(t, func(c *vault.Config) {
		c.Backup = vault.BackupSchedule{Dir: dir, Protectors: []driver.Protector{soft.PassphraseParams{Memory: 8, Time: 1, Iterations: 1}.Passphrase([]byte("backup"))}}
	})
	ctx, begin := t.Context(), v.Clock.Now()
	c := v.As(vault.DefaultOwner)
	k, err := c.CreateKey(ctx, vault.KeyOptions{})
	if err := errors.Join(err, c.DisableKeys(ctx, k.ID)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ScheduleKeyDeletion(ctx, k.ID, 30); err != nil {
		t.Fatal(err)
	}
	check := func(want vault.KeyState) {
		t.Helper()
		k, err := v.As(vault.DefaultOwner).DescribeKey(ctx, k.ID)
		if err != nil || k.State != want {
			t.Errorf("after %v: %+v, error %v, want %s", v.Clock.Now().Sub(begin), k, err, want)
		}
		now := v.Clock.Now()
		if h := v.Health(); !h.Backup.Last.Equal(now) || !h.Scrub.Last.Equal(now) || h.Backup.Err != nil || h.Scrub.Err != nil {
			t.Errorf("after %v: %+v, want a backup and a scrub", now.Sub(begin), h)
		}
	}
	v.Clock.Advance(30*day - 1)
	check(vault.PendingDeletion)
	v.Reopen()
	v.Clock.Advance(7 * day)
	check(vault.Destroyed)
	if _, err := c.DescribeKey(ctx, k.ID); !errors.Is(err, vault.ErrClosed) {
		t.Errorf("DescribeKey through the vault before Reopen: %v, want ErrClosed", err)
	}
}

// TestAdvanceWhileClosing: moving the clock while vaults close ends.
func TestAdvanceWhileClosing(t *testing.T) {
	clock := vaulttest.NewClock(time.Unix(1e9, 0))
	var open []*vaulttest.Vault
	for range 4 {
		open = append(open, vaulttest.New(t, func(c *vault.Config) { c.Clock = clock }))
	}
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		for range 200 {
			clock.Advance(time.Hour)
		}
	}()
	for _, v := range open {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
	<-moved
	clock.Set(clock.Now().Add(-day))
	if id, since := clock.Boot(); since != 200*time.Hour || id == [16]byte{} {
		t.Errorf("Boot returned %x, %v", id, since)
	}
}

func BenchmarkNew(b *testing.B) {
	for range b.N {
		if err := vaulttest.New(b).Close(); err != nil {
			b.Fatal(err)
		}
	}
}
