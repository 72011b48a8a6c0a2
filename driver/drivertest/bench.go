package drivertest

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"testing"

	"strongroom.example/driver"
)

// Bench measures every advertised spec. Names are Operation/spec/callers, for benchstat;
// each reports ops/s. Keys are generated outside the timer.
func Bench(b *testing.B, d driver.Driver) {
	for _, row := range d.Info().Specs {
		if row.Spec.Usage == driver.Unwrap {
			continue
		}
		k := makeKey(b, d, row)
		opened := openKey[driver.Key](b, d, k)
		for name, act := range benchCalls(b, k, opened) {
			for _, callers := range []int{1, 16} {
				b.Run(fmt.Sprintf("%s/%s_%s/p=%d", name, row.Spec.Algorithm, row.Spec.Usage, callers), func(b *testing.B) {
					benchCall(b, callers, act)
				})
			}
		}
		closeKey(b, opened)
		if err := d.DestroyKey(context.Background(), k.id, k.created.Blob); err != nil {
			b.Errorf("%v: DestroyKey: %v", row.Spec, err)
		}
	}
}

// A benchCallFunc is one measured call, which appends to dst if it has output.
type benchCallFunc func(ctx context.Context, dst []byte) error

func benchCall(b *testing.B, callers int, act benchCallFunc) {
	b.ReportAllocs()
	b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
	if callers == 1 {
		dst := make([]byte, 0, 8192)
		for b.Loop() {
			if err := act(context.Background(), dst); err != nil {
				b.Fatal(err)
			}
		}
	} else {
		b.RunParallel(func(pb *testing.PB) {
			dst := make([]byte, 0, 8192)
			for pb.Next() {
				if err := act(context.Background(), dst); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// benchCalls returns the calls to measure on a key.
func benchCalls(b *testing.B, k key, opened driver.Key) map[string]benchCallFunc {
	b.Helper()
	calls := make(map[string]benchCallFunc)
	input := make([]byte, 1024)
	rand.Read(input)
	switch opened := opened.(type) {
	case driver.PRF:
		calls["PRF"] = func(ctx context.Context, dst []byte) error { return drop(opened.PRF(ctx, dst, input[:64])) }
	case driver.AEAD:
		ciphertext := seal(b, opened, input, nil)
		calls["Seal1KiB"] = func(ctx context.Context, dst []byte) error { return drop(opened.Seal(ctx, dst, input, nil)) }
		calls["Open1KiB"] = func(ctx context.Context, dst []byte) error { return drop(opened.Open(ctx, dst, ciphertext, nil)) }
	case driver.Signer:
		for _, alg := range k.row.Sign {
			digest := signInput(alg)
			calls["Sign_"+string(alg)] = func(ctx context.Context, _ []byte) error { return drop(opened.Sign(ctx, alg, digest)) }
		}
	case driver.Decrypter:
		public, err := parsePublic(k.row.Spec.Algorithm, k.created.PublicDER)
		if err != nil {
			b.Fatal(err)
		}
		for _, alg := range k.row.Decrypt {
			_, ciphertext := mustEncrypt(b, public, alg)
			calls["Decrypt_"+string(alg)] = func(ctx context.Context, dst []byte) error {
				return drop(opened.Decrypt(ctx, dst, alg, ciphertext))
			}
		}
	}
	return calls
}

func drop(_ []byte, err error) error { return err }
