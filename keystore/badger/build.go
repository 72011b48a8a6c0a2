package badger

import (
	"bytes"
	"math/bits"

	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
)

// tableSize is where a merge begins the next table. What a memtable holds is one table.
const tableSize = 2 << 20

// tableOptions are those that Badger's own tables have had here.
func tableOptions() table.Options {
	o := table.Options{
		TableSize: tableSize, BlockSize: 4 << 10, BloomFalsePositive: 0.01,
		Compression: options.None, ChkMode: options.NoVerification,
	}
	if bits.UintSize == 32 {
		// The memory in which a table is built has twice the table's size, and a second piece of
		// it overwrites the first where an int has 32 bits (ristretto v2, Allocator). With blocks
		// that hold any two values half of it is never passed.
		o.BlockSize = 128 << 10
		o.TableSize = 8 << 20
	}
	return o
}

// build makes tables of what it yields: of each key the newest version, and nothing of
// deleted keys if dropDeleted is set. each gets the bytes of one table after another;
// split tells whether there may be more than one.
func build(it y.Iterator, split, dropDeleted bool, each func(content []byte) error) error {
	var b *table.Builder
	finish := func() error {
		if b == nil || b.Empty() {
			return nil
		}
		content := b.Finish()
		b.Close()
		b = nil
		return each(content)
	}
	var last []byte
	for it.Rewind(); it.Valid(); it.Next() {
		key := y.ParseKey(it.Key())
		if last != nil && bytes.Equal(key, last) {
			continue // an older version
		}
		last = append(last[:0], key...)
		v := it.Value()
		if v.Meta&deleted != 0 && dropDeleted || bytes.HasPrefix(key, []byte(reserved)) {
			continue
		}
		if b == nil {
			o := tableOptions()
			if !split {
				o.TableSize = max(o.TableSize, arenaSize)
			}
			b = table.NewTableBuilder(o)
		}
		b.Add(it.Key(), y.ValueStruct{Meta: v.Meta & deleted, Value: v.Value}, 0)
		if split && b.ReachedCapacity() {
			if err := finish(); err != nil {
				return err
			}
		}
	}
	return finish()
}
