package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"strongroom.example/keystore"
	"strongroom.example/keystore/internal/osfile"
)

// Earlier versions kept the batches in Badger itself, behind a redo log of format 1:
//
//	length u32, of the whole record | CRC-32C u32, of all but itself | epoch u64 | seq u64 |
//	puts u32 | deletes u32 | puts and deletes as in format 2
//
// A store that was closed cleanly has all of them in tables. One that was not has some
// in Badger's own logs, and all since Badger was last made durable in the redo log.

const recordHeaderV1 = 4 + 4 + 8 + 8 + 4 + 4

// openOlder brings a store that has no epoch to where tables hold all of it. It does
// nothing in a directory without a store. A crash leaves a store that it takes again.
func (e *engine) openOlder() error {
	names, err := files(e.dir)
	if err != nil {
		return err
	}
	if len(names[".mem"]) > 0 {
		if err := e.closeBadger(names); err != nil {
			return err
		}
	} else if err := tidyManifest(e.dir, names); err != nil {
		return err
	}
	return e.replayV1()
}

// closeBadger has Badger make tables of its logs. It does not merge tables: a merge
// whose new table cannot be made loses the old ones.
func (e *engine) closeBadger(names map[string][]string) (err error) {
	if err := inspect(e.dir, names); err != nil {
		return err
	}
	if err := osfile.UnlockDirectory(e.lock); err != nil {
		return fault("unlock the directory", err)
	}
	faults := &faultLog{}
	db, err := openBadger(badgerOptions(e.dir, faults))
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil || faults.tripped.Load() {
		return fmt.Errorf("%w: badger could not make tables of its logs", keystore.ErrDirectory)
	}
	if err := osfile.LockDirectory(e.lock); err != nil {
		return fmt.Errorf("%w: %s", keystore.ErrInUse, e.dir)
	}
	return nil
}

// replayV1 makes a table of the records of a redo log of format 1, if there are any
// that are of the tables' moment.
func (e *engine) replayV1() error {
	content, err := readFile(filepath.Join(e.dir, segmentNames[0]))
	if err != nil {
		return err
	}
	var first, last position
	eachV1(content, func(at position, _ keystore.Batch) {
		if first == (position{}) {
			first = at
		}
		last = at
	})
	if first == (position{}) {
		return nil
	}
	if e.view.tables, err = readTables(e.dir); err != nil {
		return err
	}
	defer func() {
		e.view.tables.close()
		e.view = view{}
	}()
	at, old, err := parsePosition(e.view.tables.get(newestOf([]byte(positionKey))).Value)
	if err != nil || !old || !followsV1(at, first, last) {
		return err
	}
	return e.tableOfV1(content, last)
}

func (e *engine) tableOfV1(content []byte, last position) error {
	if err := e.tidy(); err != nil {
		return err
	}
	e.view.mem = newMemtable()
	ts := e.view.tables.newest()
	eachV1(content, func(_ position, b keystore.Batch) {
		ts++
		e.view.mem.add(ts, b)
	})
	e.ts.Store(ts)
	e.setMemtableAside(last.encode()[1:]) // of format 1: the log of format 2 does not exist yet
	return e.flushMemtable()
}

// eachV1 calls f for every record of the log's epoch, that of its first record: in
// order, up to the first one that is not whole.
func eachV1(content []byte, f func(at position, b keystore.Batch)) {
	var last position
	for end := 0; ; {
		at, b, n, ok := parseRecordV1(content[end:])
		if !ok || end > 0 && at != (position{last.epoch, last.seq + 1}) {
			return
		}
		f(at, b)
		last, end = at, end+n
	}
}

// parseRecordV1 reads the record that b begins with, and its length.
func parseRecordV1(b []byte) (at position, batch keystore.Batch, n int, ok bool) {
	if len(b) < recordHeaderV1 {
		return at, batch, 0, false
	}
	n = int(binary.BigEndian.Uint32(b))
	if n < recordHeaderV1 || n > recordHeaderV1+maxBatch+MaxEntries*(2+4) || n > len(b) {
		return at, batch, 0, false
	}
	record := b[:n:n]
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(crc32.Checksum(record[:4], castagnoli), castagnoli, record[8:])
	if sum != binary.BigEndian.Uint32(record[4:]) {
		return at, batch, 0, false
	}
	r := reader{rest: record[8:]}
	at = position{epoch: r.number(8), seq: r.number(8)}
	batch, ok = r.batch()
	return at, batch, n, ok
}

// followsV1 tells whether the log's records, all of them in order, bring the tables to
// the state of the last one. Badger was durable when the log's epoch began, just before
// first. Since then it may have lost any of the epoch's batches, newer ones and older
// ones too where the machine died with Badger's logs partly on disk: from first to last
// is right for every such state.
//
// It is wrong if the log ends before a batch that Badger has. A batch is on disk in the
// log before Badger gets it, so the log was damaged; its beginning alone would put back
// older values. It is wrong too if Badger's position is from neither the epoch nor its
// eve: then log and Badger are not of one moment. The keystore's head, census and tip
// tell what is missing.
func followsV1(at, first, last position) bool {
	if at.epoch == last.epoch {
		return at.seq <= last.seq
	}
	return at.seq+1 == first.seq
}

// badgerOptions are those that the stores of earlier versions were written with, but
// without compaction.
func badgerOptions(dir string, log badger.Logger) badger.Options {
	o := badger.DefaultOptions(dir)
	o.ChecksumVerificationMode = options.OnTableRead
	o.MemTableSize = 4 << 20
	o.NumMemtables = 2
	o.NumLevelZeroTables = 1 << 20
	o.NumLevelZeroTablesStall = 1 << 21
	o.NumCompactors = 0
	o.CompactL0OnClose = false
	o.BaseTableSize = int64(tableOptions().TableSize)
	o.BlockSize = tableOptions().BlockSize
	o.ValueLogFileSize = 2 << 20
	o.ValueThreshold = 64 << 10
	o.Compression = options.None
	o.BlockCacheSize = 0
	o.IndexCacheSize = 0
	o.NumGoroutines = 1
	o.DetectConflicts = false
	o.MetricsEnabled = false
	o.Logger = log
	return o
}

// openBadger opens Badger; a panic on our own goroutine is an error.
func openBadger(o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if recover() != nil {
			db, err = nil, fmt.Errorf("%w: badger cannot read %s", keystore.ErrCorrupt, o.Dir)
		}
	}()
	db, err = badger.Open(o)
	if err != nil {
		return nil, fmt.Errorf("%w: badger does not open %s: %v", keystore.ErrDirectory, o.Dir, err)
	}
	return db, nil
}

// readFile reads a file, nothing if it is absent.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keystore/badger: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, segmentSize))
	if err != nil {
		return nil, fmt.Errorf("keystore/badger: read %s: %w", path, err)
	}
	return content, nil
}
