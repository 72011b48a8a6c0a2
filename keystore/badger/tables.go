package badger

import (
	"bytes"
	"slices"

	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
)

// runLevel is Badger's lowest level, which holds the run.
const runLevel = 6

// tableSet is all that is in tables: a run of tables in the order of their keys, which
// do not overlap, and loose ones that do. A set is never changed; the next one shares
// most of its tables.
type tableSet struct {
	loose []*sorted
	run   []*sorted
}

func newTableSet(loose, run []*sorted) tableSet {
	slices.SortFunc(run, func(a, b *sorted) int { return y.CompareKeys(a.Smallest(), b.Smallest()) })
	return tableSet{loose, run}
}

func (s tableSet) all() []*sorted { return slices.Concat(s.loose, s.run) }

// get returns the newest entry under a key that is not newer than a time, which at has both.
// Its version is 0 if there is none.
func (s tableSet) get(at []byte) (newest y.ValueStruct) {
	key := y.ParseKey(at)
	for _, t := range s.loose {
		if !t.mayHave(key) {
			continue
		}
		if v := t.get(at); v.Version > newest.Version {
			newest = v
		}
	}
	// The store looks up what it knows to be there, so that one table of the run has the key
	// and its filter would only cost time.
	i, _ := slices.BinarySearchFunc(s.run, key, func(t *sorted, key []byte) int {
		return bytes.Compare(y.ParseKey(t.Biggest()), key)
	})
	if i < len(s.run) {
		if v := s.run[i].get(at); v.Version > newest.Version {
			newest = v
		}
	}
	return newest
}

// iterators are those of the loose tables, and one of the run.
func (s tableSet) iterators() (its []y.Iterator) {
	for _, t := range s.loose {
		its = append(its, t.NewIterator(table.NOCACHE))
	}
	if len(s.run) > 0 {
		its = append(its, table.NewConcatIterator(plain(s.run), table.NOCACHE))
	}
	return its
}

func plain(tables []*sorted) (out []*table.Table) {
	for _, t := range tables {
		out = append(out, t.Table)
	}
	return out
}

// newest is the newest version in the tables.
func (s tableSet) newest() (ts uint64) {
	for _, t := range s.all() {
		ts = max(ts, t.MaxVersion())
	}
	return ts
}

// verify checks every byte of the tables.
func (s tableSet) verify() error {
	for _, t := range s.all() {
		if err := t.VerifyChecksum(); err != nil {
			return damaged(t.path)
		}
	}
	return nil
}

func (s tableSet) close() {
	for _, t := range s.all() {
		t.close()
	}
}
