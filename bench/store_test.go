package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/vault"
	"strongroom.example/vault/stream"
)

// The benchmarks of what does not depend on a device: the store, the audit log, backups,
// streams.

// openSizes are the numbers of CMKs of the vaults that are opened. STRONGROOM_BENCH_KEYS=all
// adds 100,000.
func openSizes() []int {
	if os.Getenv("STRONGROOM_BENCH_KEYS") == "all" {
		return []int{1000, 10_000, 100_000}
	}
	return []int{1000, 10_000}
}

// BenchmarkOpen measures Open and Close of a vault with many CMKs. The protector is a key
// file, which costs no key derivation. It reports
//   - "ms/open" and "ms/close",
//   - "cpu-ms/open": the processor time of Open on all cores, which depends less on what
//     else the machine does,
//   - "bytes/key": the heap that each further CMK takes in the open vault,
//   - "x-raw": the processor time of Open, divided by the time of opening as many records
//     with the raw cryptography.
func BenchmarkOpen(b *testing.B) {
	softwareOnly(b)
	for _, keys := range openSizes() {
		b.Run(fmt.Sprintf("driver=soft/keys=%d", keys), func(b *testing.B) {
			empty, full := measureOpen(b, 1), measureOpen(b, keys)
			b.ReportMetric(full.open*1e3, "ms/open")
			b.ReportMetric(full.processor*1e3, "cpu-ms/open")
			b.ReportMetric(full.close*1e3, "ms/close")
			b.ReportMetric((full.heap-empty.heap)/float64(keys-1), "bytes/key")
			b.ReportMetric(full.processor/openedRaw(b, 2*keys).Seconds(), "x-raw")
			b.ReportMetric(0, "ns/op") // it includes the making of the vaults
		})
	}
}

// BenchmarkRepair measures Repair of a vault of 10,000 CMKs whose store is gone, from its
// journal.
func BenchmarkRepair(b *testing.B) {
	softwareOnly(b)
	dir, key := vaultOf(b, 10_000)
	b.Run("driver=soft/keys=10000", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			if err := os.RemoveAll(filepath.Join(dir, "store")); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			report, err := vault.Repair(b.Context(), dir, vault.Config{}, soft.KeyFile(key))
			if err != nil || !report.FromJournal {
				b.Fatalf("%+v, %v", report, err)
			}
		}
	})
}

// softwareOnly skips a benchmark that does not use a device, if -driver names one.
func softwareOnly(b *testing.B) {
	b.Helper()
	if *deviceURI != "" {
		b.Skip("it does not use the device of -driver")
	}
}

// openCost is what Open and Close of one vault take: medians, in seconds and bytes.
type openCost struct{ open, processor, close, heap float64 }

// measureOpen makes a vault with the given number of CMKs, and opens and closes it rounds
// times.
func measureOpen(b *testing.B, keys int) openCost {
	b.Helper()
	dir, key := vaultOf(b, keys)
	var opens, cpu, closes, heaps []float64
	for range rounds {
		before := heap()
		begin, used := time.Now(), processorTime()
		v, err := vault.Open(b.Context(), dir, vault.Config{}, soft.KeyFile(key))
		if err != nil {
			b.Fatal(err)
		}
		opens = append(opens, time.Since(begin).Seconds())
		cpu = append(cpu, (processorTime() - used).Seconds())
		heaps = append(heaps, heap()-before)
		begin = time.Now()
		if err := v.Close(); err != nil {
			b.Fatal(err)
		}
		closes = append(closes, time.Since(begin).Seconds())
	}
	return openCost{median(opens), median(cpu), median(closes), median(heaps)}
}

// openedRaw returns the processor time that opening n records of 512 bytes takes.
func openedRaw(b *testing.B, n int) time.Duration {
	b.Helper()
	g := newGCM()
	sealed := g.seal(make([]byte, 512))
	used := processorTime()
	for range n {
		if _, err := g.open(sealed); err != nil {
			b.Fatal(err)
		}
	}
	return processorTime() - used
}

// vaultOf makes a vault with n CMKs, closes it, and returns its directory and the key file
// that opens it.
func vaultOf(b *testing.B, n int) (dir, key string) {
	b.Helper()
	base := b.TempDir()
	dir, key = filepath.Join(base, "vault"), filepath.Join(base, "key")
	if err := soft.CreateKeyFile(key); err != nil {
		b.Fatal(err)
	}
	v, err := vault.Create(b.Context(), dir, vault.Config{}, soft.KeyFile(key))
	if err != nil {
		b.Fatal(err)
	}
	manyKeys(b, v.As(vault.DefaultOwner), n)
	if err := v.Close(); err != nil {
		b.Fatal(err)
	}
	return dir, key
}

// manyKeys creates n CMKs, with 64 callers if n is large, because a commit of many callers
// is one write.
func manyKeys(b *testing.B, c vault.Client, n int) {
	b.Helper()
	create := func() error { _, err := c.CreateKey(b.Context(), vault.KeyOptions{}); return err }
	if err := appendAll(64, n, create); err != nil {
		b.Fatal(err)
	}
	for range n % 64 {
		if err := create(); err != nil {
			b.Fatal(err)
		}
	}
}

// heap returns the bytes of the live heap.
func heap() float64 {
	runtime.GC()
	runtime.GC() // what the first one finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// softVault returns a vault over the software engine with one symmetric CMK.
func softVault(b *testing.B) (v vaultOn, key string) {
	b.Helper()
	softwareOnly(b)
	d := must(soft.Open(b.Context(), soft.Config{}))
	b.Cleanup(func() { d.Close() })
	v = newVault(b, &opened{driver: d, info: driver.Info{Name: "soft"}})
	return v, v.key(b, vault.KeyOptions{})
}

// BenchmarkReEncrypt compares ReEncrypt with Decrypt and Encrypt, in turns. "x-two" is its
// throughput divided by that of the two.
func BenchmarkReEncrypt(b *testing.B) {
	c, key := softVault(b)
	ct := must(c.Encrypt(b.Context(), key, make([]byte, 1024), nil))
	one := baselineOf(func(ctx context.Context, _ []byte) error { _, err := c.ReEncrypt(ctx, ct, "", nil, nil); return err })
	two := baselineOf(func(ctx context.Context, _ []byte) error {
		text, err := c.Decrypt(ctx, ct, nil)
		if err == nil {
			_, err = c.Encrypt(ctx, key, text, nil)
		}
		return err
	})
	b.Run("driver=soft/size=1KiB/callers=8", func(b *testing.B) {
		var ratios, times []float64
		turns := func() {
			a, t := one(b, 8, turn), two(b, 8, turn)
			times, ratios = append(times, float64(a.Wall)), append(ratios, float64(t.Wall)/float64(a.Wall))
		}
		for b.Loop() {
			turns()
		}
		for len(ratios) < rounds {
			turns()
		}
		b.ReportMetric(median(ratios), "x-two")
		b.ReportMetric(median(times), "ns/op")
	})
}

// auditRecords is the number of records of the log that is exported and verified.
const auditRecords = 10_000

// BenchmarkAuditExport measures ExportAudit, in records a second.
func BenchmarkAuditExport(b *testing.B) {
	c, key := softVault(b)
	manyRecords(b, c.Client, key)
	b.Run("driver=soft", func(b *testing.B) {
		for b.Loop() {
			if err := c.ExportAudit(b.Context(), io.Discard); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(auditRecords*float64(b.N)/b.Elapsed().Seconds(), "records/s")
	})
}

// BenchmarkAuditVerify measures the offline verification of an export, in records a second.
func BenchmarkAuditVerify(b *testing.B) {
	c, key := softVault(b)
	manyRecords(b, c.Client, key)
	var export bytes.Buffer
	if err := c.ExportAudit(b.Context(), &export); err != nil {
		b.Fatal(err)
	}
	b.Run("driver=soft", func(b *testing.B) {
		for b.Loop() {
			if _, err := audit.VerifyExport(bytes.NewReader(export.Bytes()), c.logKey); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(auditRecords*float64(b.N)/b.Elapsed().Seconds(), "records/s")
	})
}

func manyRecords(b *testing.B, c vault.Client, key string) {
	b.Helper()
	err := appendAll(50, auditRecords, func() error { _, err := c.Encrypt(b.Context(), key, nil, nil); return err })
	if err != nil {
		b.Fatal(err)
	}
}

// streamSize is the length of the plaintext of a stream.
const streamSize = 16 << 20

// BenchmarkStream measures encryption and decryption of a stream, including its data key.
// "x-raw" is the time divided by that of sealing segments of 64 KiB with bare AES-256-GCM.
func BenchmarkStream(b *testing.B) {
	c, key := softVault(b)
	text := make([]byte, streamSize)
	var sealed bytes.Buffer
	write := func(w io.Writer) error {
		k := must(c.GenerateDataKey(b.Context(), key, vault.DataKey256, nil))
		defer k.Destroy()
		s := must(stream.NewWriter(w, stream.KeySuite, k))
		if _, err := s.Write(text); err != nil {
			return err
		}
		return s.Close()
	}
	read := func() error {
		r, err := stream.NewReader(bytes.NewReader(sealed.Bytes()), func(ct []byte) (stream.DataKey, error) {
			return c.OpenDataKey(b.Context(), ct, nil)
		})
		if err != nil {
			return err
		}
		defer r.DataKey().(*vault.DataKey).Destroy()
		_, err = io.Copy(io.Discard, r)
		return err
	}
	if err := write(&sealed); err != nil {
		b.Fatal(err)
	}
	g, segment := newGCM(), make([]byte, 64<<10, 65<<10)
	bare := func() error {
		for range streamSize / len(segment) {
			g.Seal(segment[:0:0], nil, segment, nil)
		}
		return nil
	}
	for name, do := range map[string]func() error{"write": func() error { return write(io.Discard) }, "read": read} {
		b.Run("driver=soft/direction="+name, func(b *testing.B) {
			b.SetBytes(streamSize)
			var ratios []float64
			for b.Loop() {
				begun := time.Now()
				if err := do(); err != nil {
					b.Fatal(err)
				}
				took := time.Since(begun)
				b.StopTimer()
				begun = time.Now()
				bare()
				ratios = append(ratios, float64(took)/float64(time.Since(begun)))
				b.StartTimer()
			}
			b.ReportMetric(median(ratios), "x-raw")
		})
	}
}
