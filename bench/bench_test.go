package bench

import (
	"fmt"
	"path/filepath"
	"testing"
)

// baseline is the baseline of every operation.
type baseline struct {
	raw *Raw
	log *Durable
}

func newBaseline(b *testing.B) baseline {
	b.Helper()
	raw, err := NewRaw()
	if err != nil {
		b.Fatal(err)
	}
	return baseline{raw: raw, log: newDurable(b, filepath.Join(b.TempDir(), "log"), 4096)}
}

// durably returns op followed by one durable record.
func (p baseline) durably(op func() error) func() error {
	return func() error {
		if err := op(); err != nil {
			return err
		}
		return p.log.Append(nil)
	}
}

// atEach runs a measurement with 1, 8 and 64 callers.
func atEach(b *testing.B, r Ratio) {
	for _, callers := range []int{1, 8, 64} {
		r.Callers = callers
		b.Run(fmt.Sprintf("callers=%d", callers), r.Run)
	}
}

// BenchmarkBaseline measures the baseline against itself. "x-raw-durable" would be 1
// without noise; its deviation shows how far the other figures can be trusted.
func BenchmarkBaseline(b *testing.B) {
	p, plaintext := newBaseline(b), make([]byte, 1024)
	seal := func() error { p.raw.Seal(plaintext); return nil }
	atEach(b, Ratio{Op: p.durably(seal), Durable: p.durably(seal), Raw: seal})
}
