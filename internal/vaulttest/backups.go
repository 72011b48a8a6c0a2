package vaulttest

import (
	"bytes"
	"io"
	"path/filepath"
	"testing"

	"strongroom.example/vault"
)

// backups restores a backup to a new directory, with the same devices. The keys are
// unchanged, and ciphertexts and signatures from before remain valid. The later checks
// run on the restored vault.
func backups(t *testing.T, s *subject) {
	for _, x := range s.homes() {
		var samples []sample
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
		x.vault, err = vault.Restore(t.Context(), x.dir, x.watched(x.cfg), []io.Reader{&full, &next}, x.protector(t), x.protector(t))
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
