package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/vault"
)

// BenchmarkListKeysPage measures a page of 100 CMKs out of many, including the durable
// audit record: "x-vault" is its time divided by that of a durable record, and p50-ns the
// median of the times of the pages. Each call reads the next page, so that the vault's cache
// of decoded records does not help. The first page, for which the vault sorts the ids, is
// read before.
func BenchmarkListKeysPage(b *testing.B) {
	v, _ := softVault(b)
	keys := slices.Max(openSizes())
	fillWithKeys(b, v.Client, keys)
	log := must(newDurableLog(filepath.Join(b.TempDir(), "log"), 4096))
	defer log.Close()
	for name, f := range map[string]vault.KeyFilter{"all": {}, "half": {Alias: "a"}} {
		b.Run(fmt.Sprintf("driver=soft/keys=%d/filter=%s", keys, name), func(b *testing.B) {
			nothing := func(context.Context, []byte) error { return nil }
			var latency histogram
			layered{core: nothing, bare: true, vault: nextPage(v.Client, f, &latency)}.run(b, 1, log)
			b.ReportMetric(float64(latency.quantile(0.5)), "p50-ns")
		})
	}
}

// nextPage returns an operation that reads the page after the one that it read before, and adds
// the time to latency.
func nextPage(c vault.Client, f vault.KeyFilter, latency *histogram) act {
	var mu sync.Mutex
	next := ""
	return func(ctx context.Context, _ []byte) error {
		mu.Lock()
		defer mu.Unlock()
		begun := time.Now()
		page, err := c.ListKeysPage(ctx, f, vault.PageRequest{Limit: 100, Token: next})
		latency.add(time.Since(begun))
		if err == nil && next == "" && len(page.Keys) != 100 {
			return fmt.Errorf("a page of %d CMKs", len(page.Keys))
		}
		next = page.Next
		return err
	}
}

// fillWithKeys makes n CMKs without material, with 64 callers. Half of them have an alias
// that begins with a.
func fillWithKeys(b *testing.B, c vault.Client, n int) {
	b.Helper()
	var count atomic.Int64
	err := appendAll(64, n, func() error {
		i := count.Add(1)
		_, err := c.CreateKey(b.Context(), vault.KeyOptions{
			Origin: vault.OriginExternal, Alias: fmt.Sprintf("%c%d", "ab"[i%2], i), Tags: map[string]string{"team": "bench"},
		})
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}
