package bench

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/usecount"
	"strongroom.example/keystore"
	"strongroom.example/keystore/badger"
)

// storeCountsEvery is the number of audit records after which a vault stores its counts.
const storeCountsEvery = 8192

// BenchmarkCountUses measures what the counts of uses add to a durable Encrypt: a message is
// sealed and its audit record committed in a store, with its use counted and the counts
// stored as a vault does, and without. It reports
//   - "x-counted": the time with, divided by the time without, as the median of turns,
//   - "x-counted-cpu": the same of processor times, which other load changes less,
//   - "x-same" and "x-same-cpu": two stores without, whose deviation from 1 shows how far
//     the other ratios can be trusted.
func BenchmarkCountUses(b *testing.B) {
	table := usecount.New()
	layers := []layer{
		{"without", baselineOf(commits(newStore(b), nil))},
		{"same", baselineOf(commits(newStore(b), nil))},
		{"counted", baselineOf(commits(newStore(b), table))},
	}
	for _, callers := range []int{1, 8, 64} {
		b.Run(callersName(callers), func(b *testing.B) {
			list := make(map[string][]float64)
			n := 0
			round := func() {
				costs := make([]Cost, len(layers))
				for i := range layers {
					at := (i + n) % len(layers) // each is the first in turn
					costs[at] = layers[at].of(b, callers, turn)
				}
				for i, l := range layers[1:] {
					list["x-"+l.name] = append(list["x-"+l.name], float64(costs[i+1].Wall)/float64(costs[0].Wall))
					if costs[0].CPU > 0 {
						list["x-"+l.name+"-cpu"] = append(list["x-"+l.name+"-cpu"], float64(costs[i+1].CPU)/float64(costs[0].CPU))
					}
				}
				n++
			}
			for b.Loop() {
				round()
			}
			for n < rounds {
				round()
			}
			for unit, values := range list {
				b.ReportMetric(median(values), unit)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// plainLog is the appender of a store whose log has no tree.
type plainLog struct{}

func (plainLog) Extend(from keystore.LogState, leaves [][]byte) (keystore.Extension, error) {
	from.Size += uint64(len(leaves))
	return keystore.Extension{State: from}, nil
}

// newStore makes a store with the engine of a vault.
func newStore(b *testing.B) *keystore.Store {
	b.Helper()
	root := make([]byte, 32)
	rand.Read(root)
	cfg := keystore.Config{Dir: filepath.Join(b.TempDir(), "store"), Suite: keystore.SuiteAES, Root: root, OpenKeyedEngine: badger.OpenEngine, Log: plainLog{}}
	public := keystore.Root{Edition: 1, Created: time.Now(), Protectors: []keystore.Protector{{ID: "bench", Kind: "bench", Blob: []byte{1}}}}
	s := must(keystore.Create(b.Context(), cfg, public, func(*keystore.Tx) error { return nil }))
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// commits returns the operation on a store. A nil table counts nothing.
func commits(s *keystore.Store, uses *usecount.Table) act {
	block := must(aes.NewCipher(make([]byte, 32)))
	aead, plaintext := must(cipher.NewGCMWithRandomNonce(block)), make([]byte, 1024)
	version := usecount.Version{Key: [16]byte{1}, Number: 1}
	var n atomic.Uint64
	return func(ctx context.Context, _ []byte) error {
		aead.Seal(nil, nil, plaintext, nil)
		r := audit.Record{Principal: "bench", Operation: "Encrypt", Key: "22d79428-61d9-41ea-a3c8-525400000000", KeyVersion: 1, Result: audit.OK}
		err := s.Commit(ctx, func(tx *keystore.Tx) error {
			if uses != nil {
				tx.OnDurable(func() { uses.Add(r.Seq, version, usecount.Protect, r.Time) })
			}
			tx.Log(func(seq uint64) []byte {
				r.Seq, r.Time = seq, time.Now()
				return r.Append(nil)
			})
			return nil
		})
		if err != nil || uses == nil || n.Add(1)%storeCountsEvery != 0 {
			return err
		}
		return s.Commit(ctx, func(tx *keystore.Tx) error {
			value, saved := uses.Encode(0, s.LogState().Size)
			tx.Put("uses/000000", value)
			tx.OnDurable(saved)
			return nil
		})
	}
}
