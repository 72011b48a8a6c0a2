package badger

import (
	"math/bits"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

const (
	// MaxValue is the most bytes a value may have. It lies below valueThreshold,
	// so that no value goes to Badger's value log, whose damage it does not report.
	MaxValue = 48 << 10
	// MaxKey is the most bytes a key may have.
	MaxKey = 1 << 10
	// MaxEntries is the most puts and deletes one batch may hold. A batch whose
	// entries have 66 bytes or more reaches MaxBatch first.
	MaxEntries = 6000

	memTableSize   = 4 << 20
	valueThreshold = 64 << 10
	// A Badger transaction holds 15 % of a memtable: 614 KiB, or 6553 entries.
	// Badger adds 12 bytes for each entry, which leaves a fifth unused.
	maxBatch = 384 << 10
)

// preset is Badger for the edge: a vault of a thousand keys that rests has about
// 2.5 MB more memory than the bare process and 2 MB of mapped tables, and files are
// small enough for a 32-bit address space.
func preset(dir string, log badger.Logger) badger.Options {
	o := badger.DefaultOptions(dir)
	o.SyncWrites = false // the redo log is synced instead
	o.ChecksumVerificationMode = options.OnTableRead
	o.MemTableSize = memTableSize
	o.NumMemtables = 2
	o.NumLevelZeroTables = 4
	o.NumLevelZeroTablesStall = 8
	o.BaseTableSize = 2 << 20
	o.BaseLevelSize = 256 << 20
	o.ValueLogFileSize = 2 << 20
	o.ValueThreshold = valueThreshold
	o.Compression = options.None
	o.BlockCacheSize = 0
	o.IndexCacheSize = 0
	o.NumVersionsToKeep = 1
	o.NumCompactors = 2
	o.NumGoroutines = 1
	o.CompactL0OnClose = true
	o.DetectConflicts = false
	o.MetricsEnabled = false
	o.Logger = log
	if bits.UintSize == 32 {
		// The memory in which a table is built has twice the table's size, and a second piece of
		// it overwrites the first where an int has 32 bits (ristretto v2, Allocator). With blocks
		// that hold any two values half of it is never passed.
		o.BlockSize = 128 << 10
		o.BaseTableSize = 8 << 20
	}
	return o
}
