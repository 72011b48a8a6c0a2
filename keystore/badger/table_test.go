package badger

import (
	"crypto/rand"
	"fmt"
	"maps"
	"testing"

	"strongroom.example/keystore"
)

// TestTables writes several memtables of values of one size. Each table is checked as it
// is made: where an int has 32 bits those of Badger's own preset came out spoilt.
func TestTables(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 300, 3000, 9000, 20000, MaxValue} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			dir, want := t.TempDir(), model{}
			e := open(t, dir).(*engine)
			perBatch := min(maxBatch/(size+60), 2000)
			for n := 0; n < 3*segmentSize/(size+60); n += perBatch {
				b := batchFrom(n, perBatch, size)
				must(t, e.Commit(t.Context(), b))
				want.apply(b)
			}
			must(t, e.flushed())
			if made := e.tables().all(); len(made) == 0 {
				t.Error("no table was made")
			}
			must(t, e.Close())
			reopened(t, dir, want)
		})
	}
}

// batchFrom puts so many keys from number n on, in no order.
func batchFrom(n, many, size int) (b keystore.Batch) {
	for i := n; i < n+many; i++ {
		value := make([]byte, size)
		rand.Read(value)
		b.Put = append(b.Put, put(fmt.Sprintf("k%07d", i*7919%1000003), string(value)).Put...)
	}
	return b
}

// Merges keep what is live, drop what is deleted and leave what is before the first key
// that changed; a store that was merged reads as before.
func TestMerge(t *testing.T) {
	t.Parallel()
	dir, want := t.TempDir(), model{}
	e := open(t, dir).(*engine)
	for round := range 3 * mergeAt {
		for i := range 40 {
			b := put(fmt.Sprintf("a%05d", round*40+i), string(make([]byte, 2000))) // a log that grows
			b.Put = append(b.Put, put(fmt.Sprintf("r%02d", i), fmt.Sprint(round)).Put...)
			if i%5 == 0 && round > 0 {
				b.Delete = append(b.Delete, fmt.Appendf(nil, "a%05d", round*40-40+i))
			}
			must(t, e.Commit(t.Context(), b))
			want.apply(b)
		}
		must(t, e.turn())
		must(t, e.flushed())
		if got := holding(t, e); !maps.Equal(got, want) {
			t.Fatalf("round %d: %d pairs, want %d", round, len(got), len(want))
		}
	}
	set := e.tables()
	if len(set.loose) >= mergeAt || len(set.run) == 0 {
		t.Errorf("%d loose tables and %d in the run, want fewer than %d and some", len(set.loose), len(set.run), mergeAt)
	}
	reopened(t, crash(t, dir), want)
	must(t, e.Close())
	reopened(t, dir, want)
}
