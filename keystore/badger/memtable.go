package badger

import (
	"github.com/dgraph-io/badger/v4/skl"
	"github.com/dgraph-io/badger/v4/y"

	"strongroom.example/keystore"
)

const (
	// arenaSize is the memory of a memtable. It holds what a segment of the redo log
	// holds, and what each entry costs besides, where entries have 40 bytes or more;
	// with smaller ones the memtable is full before the segment is.
	arenaSize = 7 << 20
	// entryCost is the most that the list needs for an entry besides key and value.
	entryCost = skl.MaxNodeSize + 8 + 8 + 12

	deleted = 1 << 0 // Badger's mark of a deletion, in an entry's meta byte
)

// memtable holds the batches that no table holds yet, in the order of their keys. Many
// goroutines may read it while one adds to it. It is Badger's list without its log.
type memtable struct{ list *skl.Skiplist }

func newMemtable() *memtable { return &memtable{skl.NewSkiplist(arenaSize)} }

// takes reports whether the batch has room. The list ends the process if it has not.
func (m *memtable) takes(b keystore.Batch) bool {
	entries := int64(len(b.Put) + len(b.Delete) + 1) // one more for the position
	return m.list.MemSize()+int64(b.Size())+entries*int64(entryCost) < arenaSize
}

// add puts a batch into the table, as of the time ts. Readers of an earlier time do not
// see it.
func (m *memtable) add(ts uint64, b keystore.Batch) {
	for _, p := range b.Put {
		m.list.Put(y.KeyWithTs(p.Key, ts), y.ValueStruct{Value: p.Value})
	}
	for _, k := range b.Delete {
		m.list.Put(y.KeyWithTs(k, ts), y.ValueStruct{Meta: deleted})
	}
}

// get returns the newest entry under a key that is not newer than a time, which at has both.
// Its version is 0 if there is none. The value is part of the table.
func (m *memtable) get(at []byte) y.ValueStruct {
	if m == nil {
		return y.ValueStruct{}
	}
	return m.list.Get(at)
}
