package bench

import (
	"bytes"
	"io"
	"path/filepath"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/vault"
)

// BenchmarkBackup measures a full backup of a vault with 2,000 CMKs, in bytes per second. It
// reports also
//   - "MB/cpu-s": the bytes for each second of processor time on all cores, which depends
//     less on what else the machine does,
//   - "x-raw": the processor time, divided by that of the raw cryptography for as many bytes,
//     in pieces of 64 KiB.
func BenchmarkBackup(b *testing.B) {
	v, light := backedUp(b)
	b.Run("driver=soft", func(b *testing.B) {
		var out counter
		used := processorTime()
		for b.Loop() {
			if _, err := v.Backup(b.Context(), &out, vault.BackupOptions{}, light); err != nil {
				b.Fatal(err)
			}
		}
		took := processorTime() - used
		b.SetBytes(int64(out) / int64(b.N))
		b.ReportMetric(float64(out)/1e6/took.Seconds(), "MB/cpu-s")
		b.ReportMetric(took.Seconds()/sealedRaw(b, int(out)).Seconds(), "x-raw")
	})
}

// sealedRaw returns the processor time of encrypting n bytes in pieces of 64 KiB.
func sealedRaw(b *testing.B, n int) time.Duration {
	b.Helper()
	raw := newGCM()
	piece, used := make([]byte, 64<<10), processorTime()
	for range n/len(piece) + 1 {
		raw.seal(piece)
	}
	return processorTime() - used
}

// BenchmarkRestore measures Restore of the same backup, including its durable writes.
func BenchmarkRestore(b *testing.B) {
	v, light := backedUp(b)
	var file bytes.Buffer
	if _, err := v.Backup(b.Context(), &file, vault.BackupOptions{}, light); err != nil {
		b.Fatal(err)
	}
	b.Run("driver=soft", func(b *testing.B) {
		b.SetBytes(int64(file.Len()))
		for b.Loop() {
			dir := filepath.Join(b.TempDir(), "restored")
			restored, err := vault.Restore(b.Context(), dir, vault.Config{}, []io.Reader{bytes.NewReader(file.Bytes())}, light, light)
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if err := restored.Close(); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
}

// backedUp returns a vault with many CMKs, most with a version and a record of their own,
// and a protector for backups that costs little key derivation.
func backedUp(b *testing.B) (vaultOn, driver.Protector) {
	b.Helper()
	v, _ := softVault(b)
	manyKeys(b, v.Client, 2000)
	return v, soft.PassphraseParams{Memory: 64, Time: 1}.Passphrase([]byte("backup"))
}

// counter is a writer that counts bytes.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
