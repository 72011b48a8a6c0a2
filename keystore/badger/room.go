package badger

import (
	"bytes"
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/y"

	"strongroom.example/keystore"
)

const (
	// Badger's files are sparse maps: a disk that fills under them kills the
	// process. Opening and closing replay and flush; handing batches to Badger
	// must always leave room for them. A merge of tables comes on top.
	openReserve   = 32 << 20
	commitReserve = 40 << 20
)

// room is ErrFull if the disk does not have want bytes, and what a merge of tables
// writes beside those that it replaces.
func (e *engine) room(want uint64) error {
	return reserve(e.dir, e.free, want+merging(e.db.Tables(), e.over.first()))
}

// merging is the size of the tables which the next merge of level 0 may write anew:
// those of level 0, and all that have keys from first on, or from the first one of
// level 0. Old audit segments stand before both.
func merging(tables []badger.TableInfo, first []byte) (n uint64) {
	for _, t := range tables {
		if left := y.ParseKey(t.Left); t.Level == 0 && (first == nil || bytes.Compare(left, first) < 0) {
			first = left
		}
	}
	for _, t := range tables {
		if first != nil && bytes.Compare(y.ParseKey(t.Right), first) >= 0 {
			n += uint64(t.OnDiskSize)
		}
	}
	return n
}

// reserve is ErrFull if fewer than want bytes are free.
func reserve(dir string, free func(string) (uint64, error), want uint64) error {
	have, err := free(dir)
	if err != nil {
		return err
	}
	if have < want {
		return fmt.Errorf("%w: %d MiB free in %s, %d needed", keystore.ErrFull, have>>20, dir, want>>20)
	}
	return nil
}
