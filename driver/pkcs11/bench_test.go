//go:build cgo && unix

package pkcs11_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/testtoken"
)

// A benchmarked operation, by its name in the raw loop.
type benchmarked struct {
	name string
	spec driver.KeySpec
	call func(ctx context.Context, k driver.Key, dst []byte) error
}

func benchmarks() []benchmarked {
	digest, text := make([]byte, 32), make([]byte, 1024)
	return []benchmarked{
		{"hmac", derive, func(ctx context.Context, k driver.Key, dst []byte) error {
			_, err := k.(driver.PRF).PRF(ctx, dst, text[:60])
			return err
		}},
		{"gcm", driver.KeySpec{Algorithm: driver.AES256GCM, Usage: driver.Seal}, func(ctx context.Context, k driver.Key, dst []byte) error {
			_, err := k.(driver.AEAD).Seal(ctx, dst, text, nil)
			return err
		}},
		{"ecdsa", driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign}, func(ctx context.Context, k driver.Key, dst []byte) error {
			_, err := k.(driver.Signer).Sign(ctx, driver.ECDSASHA256, digest)
			return err
		}},
		{"rsa", driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Sign}, func(ctx context.Context, k driver.Key, dst []byte) error {
			_, err := k.(driver.Signer).Sign(ctx, driver.RSAPKCS1SHA256, digest)
			return err
		}},
	}
}

// BenchmarkAgainstRawLoop measures the driver beside a bare loop of C calls on the
// same key of a SoftHSM token, in turns of 25 ms, since a shared machine is not the
// same from one second to the next. It reports the medians of both, and the medians of
// the ratios of neighbours, for time and for time of the processor.
func BenchmarkAgainstRawLoop(b *testing.B) {
	const turn = 25 * time.Millisecond
	token := testtoken.NewSoftHSM(b)
	d := opened(b, token)
	for _, m := range benchmarks() {
		id := freshID()
		if _, err := d.GenerateKey(b.Context(), id, m.spec); err != nil {
			b.Fatal(err)
		}
		k, err := d.OpenKey(b.Context(), id, m.spec, nil)
		if err != nil {
			b.Fatal(err)
		}
		raw := testtoken.NewRawLoop(b, token, id.String(), m.name)
		for _, callers := range []int{1, 8} {
			b.Run(m.name+"/callers="+strconv.Itoa(callers), func(b *testing.B) {
				lists := make(map[string][]float64)
				for b.Loop() {
					r := raw.Run(b, turn, callers)
					o := drive(b, turn, callers, func(dst []byte) error { return m.call(context.Background(), k, dst) })
					lists["raw-ns/op"] = append(lists["raw-ns/op"], float64(r.Wall))
					lists["driver-ns/op"] = append(lists["driver-ns/op"], float64(o.Wall))
					lists["ratio"] = append(lists["ratio"], float64(o.Wall)/float64(r.Wall))
					lists["cpu-ratio"] = append(lists["cpu-ratio"], float64(o.CPU)/float64(r.CPU))
				}
				for unit, list := range lists {
					b.ReportMetric(median(list), unit)
				}
			})
		}
	}
}

// drive calls for some time from some goroutines.
func drive(b *testing.B, turn time.Duration, callers int, call func(dst []byte) error) testtoken.Cost {
	b.Helper()
	var done atomic.Int64
	var all sync.WaitGroup
	start, cpu := time.Now(), processor(b)
	for range callers {
		all.Go(func() {
			dst, n := make([]byte, 0, 2048), int64(0)
			for ; time.Since(start) < turn; n++ {
				if err := call(dst); err != nil {
					b.Error(err)
					return
				}
			}
			done.Add(n)
		})
	}
	all.Wait()
	n := time.Duration(max(1, done.Load()))
	return testtoken.Cost{Wall: time.Since(start) / n, CPU: (processor(b) - cpu) / n}
}

// processor is the time that the processor has spent on this process.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}
