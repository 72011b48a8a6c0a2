package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"strongroom.example/vault"
)

// BenchmarkReEncryptAll compares ReEncryptAll with 8 callers with a Decrypt and an Encrypt for
// each ciphertext by 8 goroutines, in turns. "x-two" is its throughput divided by that of the
// two.
func BenchmarkReEncryptAll(b *testing.B) {
	v, key := softVault(b)
	to := v.key(b, vault.KeyOptions{})
	ct := must(v.Encrypt(b.Context(), key, make([]byte, 1024), nil))
	calls := max(200, b.N/rounds)
	b.ResetTimer()
	var ratios []float64
	for range rounds {
		one := reEncryptAll(b, v.Client, to, ct, calls)
		begin := time.Now()
		err := appendAll(8, calls, func() error {
			text, err := v.Decrypt(b.Context(), ct, nil)
			if err == nil {
				_, err = v.Encrypt(b.Context(), to, text, nil)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		ratios = append(ratios, float64(time.Since(begin))/float64(one))
	}
	b.ReportMetric(median(ratios), "x-two")
}

// reEncryptAll re-encrypts a ciphertext n times with 8 callers and returns the time.
func reEncryptAll(b *testing.B, c vault.Client, to string, ct []byte, n int) time.Duration {
	b.Helper()
	source := func(yield func(vault.ReEncryptItem, error) bool) {
		for i := range n {
			if !yield(vault.ReEncryptItem{ID: fmt.Sprint(i), Ciphertext: ct}, nil) {
				return
			}
		}
	}
	begin := time.Now()
	p, err := c.ReEncryptAll(b.Context(), to, source, func(_ context.Context, r vault.ReEncrypted) error { return r.Err }, vault.ReEncryptOptions{Callers: 8})
	if err != nil || p.Done != uint64(n) {
		b.Fatalf("%d of %d items, %v", p.Done, n, err)
	}
	return time.Since(begin)
}
