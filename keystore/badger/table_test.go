package badger

import (
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// TestTables writes more than a memtable of values of one size. Badger checks each table
// as it is made: where an int has 32 bits those of its own preset came out spoilt.
func TestTables(t *testing.T) {
	for _, size := range []int{10, 300, 3000, 9000, 20000, MaxValue} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			o := preset(t.TempDir(), nil).WithLogger(nil)
			db, err := badger.Open(o)
			must(t, err)
			perBatch := maxBatch / (size + 60)
			for n := 0; n < 3*memTableSize/(size+60); n += perBatch {
				must(t, db.Update(func(txn *badger.Txn) error { return fillFrom(txn, n, perBatch, size) }))
			}
			must(t, db.Close())
			db, err = badger.Open(o)
			must(t, err)
			must(t, db.VerifyChecksum())
			must(t, db.Close())
		})
	}
}

// fillFrom sets so many keys from number n on, in no order.
func fillFrom(txn *badger.Txn, n, many, size int) error {
	for i := n; i < n+many; i++ {
		value := make([]byte, size)
		rand.Read(value)
		if err := txn.Set(fmt.Appendf(nil, "k%07d", i*7919%1000003), value); err != nil {
			return err
		}
	}
	return nil
}
