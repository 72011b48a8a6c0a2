package badger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"

	"strongroom.example/keystore"
)

// sorted is one immutable table of Badger's, read through a map of its file that no
// file handle stands behind.
type sorted struct {
	*table.Table
	id   uint64
	data []byte
	path string
	info os.FileInfo // of the file, to tell it from another one
}

// openTable maps a table and checks every byte of it. A fault in the map, as in a file
// that was cut short, is an error.
func openTable(dir string, id uint64) (t *sorted, err error) {
	return openTableAt(table.NewFilename(id, dir), id)
}

func openTableAt(path string, id uint64) (t *sorted, err error) {
	data, info, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	t = &sorted{id: id, data: data, path: path, info: info}
	err = guarded(func() error {
		options := tableOptions()
		if t.Table, err = table.OpenInMemoryTable(data, id, &options); err != nil {
			return err
		}
		if err := t.VerifyChecksum(); err != nil {
			return err
		}
		keepIndex(data)
		return nil
	})
	if err != nil {
		unmapFile(data)
		return nil, damaged(path)
	}
	return t, nil
}

// keepIndex makes the map's pages of the table's index private to this process, so that
// damage to the file does not reach them: Badger ends the process over some of it. The
// index stands at the end: index | its length u32 | checksum | its length u32.
func keepIndex(data []byte) {
	end := len(data) - 4
	end -= int(y.BytesToU32(data[end:])) + 4
	first := end - int(y.BytesToU32(data[end:end+4]))
	touchPages(data[first:])
}

// close releases the map. Nothing may read the table any more.
func (t *sorted) close() { unmapFile(t.data) }

// mayHave reports whether the table's range and its Bloom filter have key.
func (t *sorted) mayHave(key []byte) bool {
	return bytes.Compare(key, y.ParseKey(t.Smallest())) >= 0 && bytes.Compare(key, y.ParseKey(t.Biggest())) <= 0 &&
		!t.DoesNotHave(y.Hash(key))
}

// get returns the newest entry under a key that is not newer than a time, which at has both.
// Its version is 0 if there is none. The value is part of the table.
func (t *sorted) get(at []byte) y.ValueStruct {
	it := t.NewIterator(table.NOCACHE)
	defer it.Close()
	it.Seek(at)
	if !it.Valid() || !y.SameKey(at, it.Key()) {
		return y.ValueStruct{}
	}
	v := it.Value()
	v.Version = y.ParseTs(it.Key())
	return v
}

// newestOf is the place before all versions of a key.
func newestOf(key []byte) []byte { return y.KeyWithTs(key, ^uint64(0)) }

// writeTable writes a table durably under an id that no file has, from first on, and
// reads it back.
func writeTable(dir string, first uint64, content []byte) (*sorted, error) {
	for id := first; ; id++ {
		path := table.NewFilename(id, dir)
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fault("make a table", err)
		}
		_, err = f.Write(content)
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return nil, errors.Join(fault("write a table", err), os.Remove(path))
		}
		t, err := openTable(dir, id)
		if err == nil && !bytes.Equal(t.data, content) {
			t.close()
			err = damaged(path)
		}
		if err != nil {
			return nil, errors.Join(err, os.Remove(path))
		}
		return t, nil
	}
}

func damaged(path string) error {
	return fmt.Errorf("%w: %s is damaged", keystore.ErrCorrupt, path)
}

// tableFile reports whether a name is that of a table.
func tableFile(name string) (id uint64, ok bool) {
	if filepath.Ext(name) != ".sst" {
		return 0, false
	}
	return table.ParseFileID(name)
}
