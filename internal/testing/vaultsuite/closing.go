package vaultsuite

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/vault"
)

// reopen: after a restart the keys are unchanged, and ciphertexts and signatures from
// before remain valid.
func reopen(t *testing.T, s *subject) {
	for _, x := range s.homes() {
		var samples []keySample
		for _, r := range s.each() {
			samples = append(samples, s.sample(t, x, r))
		}
		before := x.owner()
		x.reopen(t)
		if _, err := before.DescribeKey(t.Context(), samples[0].key.ID); !errors.Is(err, vault.ErrClosed) {
			t.Errorf("DescribeKey with a client from before the restart: %v, want ErrClosed", err)
		}
		for _, m := range samples {
			if k, err := x.owner().DescribeKey(t.Context(), m.key.ID); err != nil || !equal(k, m.key) {
				t.Errorf("DescribeKey after a restart: %+v, %v, want %+v", k, err, m.key)
			}
			if m.usage != vault.GenerateVerifyMac {
				continue
			}
			if mac, err := x.owner().GenerateMac(t.Context(), m.key.ID, []byte(message)); err != nil || !bytes.Equal(mac, m.mac) {
				t.Errorf("GenerateMac after a restart returns another MAC, or %v", err)
			}
		}
		allWork(t, x, samples)
	}
}

// closed: a closed vault returns ErrClosed. Its directory is in use until then, and only
// its protector opens it.
func closed(t *testing.T, s *subject) {
	cfg := s.Config(t)
	if builtIn(cfg) {
		cfg = asDevice(t, cfg)
	}
	h := s.Harness
	if s.faulty != s.shared {
		h.Reopen = nil // the software engine inside the vault stays open
	}
	x := newHome(t, h, cfg)
	c, ctx := x.owner(), t.Context()
	k := x.createSymmetric(t)
	dk, err := c.GenerateDataKey(ctx, k.ID, 32, nil)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := vault.Open(ctx, x.dir, cfg, x.protector(t)); !errors.Is(err, vault.ErrInUse) {
		t.Errorf("Open of an open vault: %v, %v, want ErrInUse", v, err)
	}
	x.close(t)
	if _, err := c.Encrypt(ctx, k.ID, nil, nil); !errors.Is(err, vault.ErrClosed) {
		t.Errorf("Encrypt after Close: %v, want ErrClosed", err)
	}
	if err := dk.Use(func([]byte) error { return nil }); !errors.Is(err, vault.ErrClosed) {
		t.Errorf("Use of a data key after Close: %v, want ErrClosed", err)
	}
	wantNoWayIn(t, x)
	x.open(t)
	allWork(t, x, []keySample{s.sample(t, x, s.each()[0])})
}

// wantNoWayIn checks that a wrong protector and a second Create fail.
func wantNoWayIn(t *testing.T, x *home) {
	t.Helper()
	cfg := x.cfg
	cfg.Drivers, cfg.Driver = map[string]driver.Driver{}, ""
	if v, err := vault.Open(t.Context(), x.dir, cfg, stranger()); !errors.Is(err, vault.ErrUnlock) {
		t.Errorf("Open with a wrong protector: %v, %v, want ErrUnlock", v, err)
	}
	if v, err := vault.Create(t.Context(), x.dir, cfg, stranger()); !errors.Is(err, vault.ErrExists) {
		t.Errorf("Create over a vault: %v, %v, want ErrExists", v, err)
	}
}

// backups restores a backup to a new directory, with the same devices. The keys are
// unchanged, and ciphertexts and signatures from before remain valid. The later checks
// run on the restored vault.
func backups(t *testing.T, s *subject) {
	for _, x := range s.homes() {
		var samples []keySample
		for _, r := range s.each() {
			samples = append(samples, s.sample(t, x, r))
		}
		var full, next bytes.Buffer
		first, err := x.owner().Backup(t.Context(), &full, vault.BackupOptions{}, x.protector(t))
		if err != nil {
			t.Fatalf("Backup: %v", err)
		}
		late := s.sampleOf(t, x, samples[0].row, x.create(t, x.options(samples[0].row)))
		if _, err = x.owner().Backup(t.Context(), &next, vault.BackupOptions{Since: first.ID}, x.protector(t)); err != nil {
			t.Fatalf("Backup based on another: %v", err)
		}
		x.close(t)
		if x.Reopen != nil {
			x.closeDrivers(t)
			x.cfg = x.Reopen(x.t, x.cfg)
		}
		x.dir = filepath.Join(x.t.TempDir(), "restored")
		x.vault, err = vault.Restore(t.Context(), x.dir, x.counted(x.watched(x.cfg)), []io.Reader{&full, &next}, x.protector(t), x.protector(t))
		if err != nil {
			t.Fatalf("Restore: %v", err)
		}
		for _, m := range append(samples, late) {
			if k, err := x.owner().DescribeKey(t.Context(), m.key.ID); err != nil || !equal(k, m.key) {
				t.Errorf("DescribeKey after Restore: %+v, %v, want %+v", k, err, m.key)
			}
		}
		allWork(t, x, append(samples, late))
	}
}
