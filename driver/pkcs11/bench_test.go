//go:build cgo && unix

package pkcs11_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
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
// same from one second to the next. It reports the medians of both, and the median of
// the ratios of neighbours.
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
				var bare, driven, ratios []float64
				for b.Loop() {
					r := float64(raw.Run(b, turn, callers))
					o := float64(drive(b, turn, callers, func(dst []byte) error { return m.call(context.Background(), k, dst) }))
					bare, driven, ratios = append(bare, r), append(driven, o), append(ratios, o/r)
				}
				b.ReportMetric(median(bare), "raw-ns/op")
				b.ReportMetric(median(driven), "driver-ns/op")
				b.ReportMetric(median(ratios), "ratio")
			})
		}
	}
}

// drive calls for some time from some goroutines, and returns how long a call took.
func drive(b *testing.B, turn time.Duration, callers int, call func(dst []byte) error) time.Duration {
	b.Helper()
	var done atomic.Int64
	var all sync.WaitGroup
	start := time.Now()
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
	return time.Since(start) / time.Duration(max(1, done.Load()))
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}
