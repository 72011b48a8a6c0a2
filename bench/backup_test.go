package bench

import (
	"bytes"
	"io"
	"path/filepath"
	"testing"

	"strongroom.example/driver/soft"
	"strongroom.example/vault"
)

// backupKeys is the number of CMKs in the vault that is backed up and restored.
const backupKeys = 2000

// BenchmarkBackup measures a full backup of a vault, in bytes per second.
func BenchmarkBackup(b *testing.B) {
	s, light := manyKeys(b), soft.PassphraseParams{Memory: 64, Time: 1}.Passphrase([]byte("backup"))
	var out counter
	for b.Loop() {
		out = 0
		if _, err := s.client.Backup(b.Context(), &out, vault.BackupOptions{}, light); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(out))
}

// BenchmarkRestore measures Restore of the same backup, including its durable writes.
func BenchmarkRestore(b *testing.B) {
	s, light := manyKeys(b), soft.PassphraseParams{Memory: 64, Time: 1}.Passphrase([]byte("backup"))
	var file bytes.Buffer
	if _, err := s.client.Backup(b.Context(), &file, vault.BackupOptions{}, light); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(file.Len()))
	for b.Loop() {
		dir := filepath.Join(b.TempDir(), "restored")
		v, err := vault.Restore(b.Context(), dir, vault.Config{}, []io.Reader{bytes.NewReader(file.Bytes())}, light, light)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := v.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// manyKeys returns a vault with backupKeys CMKs, most with a version and a record of
// their own.
func manyKeys(b *testing.B) subject {
	b.Helper()
	s := newSubject(b)
	for range backupKeys {
		if _, err := s.client.CreateKey(b.Context(), vault.KeyOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// counter is a writer that counts bytes.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
