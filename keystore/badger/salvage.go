package badger

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"

	"strongroom.example/keystore"
)

// Salvage calls each with every entry that the files of a closed engine still hold, from
// the key from on: from the tables whose checksums hold, whether the list of tables names
// them or not, and from the redo log. It changes no file. An entry may be passed more than
// once, and so may entries that a later one replaced; the caller authenticates them. Of
// those with the same key the one with the highest At is the newest, as far as the files
// tell. The error is that of each, or one that keeps the directory from being read.
func Salvage(cfg keystore.EngineConfig, from []byte, each func(keystore.Salvaged) error) error {
	names, err := files(cfg.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(names[".mem"]) > 0 {
		if done, err := salvageOlder(cfg, names, from, each); done || err != nil {
			return err
		}
	}
	x := &salvage{dir: cfg.Dir, mac: cfg.MAC, from: from, each: each}
	for _, name := range slices.Concat(names[".sst"], names[orphan]) {
		if err := x.table(name); err != nil {
			return err
		}
	}
	for _, name := range segmentNames {
		if err := x.addSegment(name); err != nil {
			return err
		}
	}
	return nil
}

// salvage is the state of a call of Salvage.
type salvage struct {
	dir    string
	mac    macFunc
	from   []byte
	each   func(keystore.Salvaged) error
	newest uint64   // the newest version in the tables
	at     position // the newest batch that is in the tables
}

// table passes the entries of a table on. A table that is damaged is left out.
func (x *salvage) table(name string) error {
	id, ok := tableFile(strings.TrimSuffix(name, orphan))
	if !ok {
		return nil
	}
	t, err := openTableAt(filepath.Join(x.dir, name), id)
	if err != nil {
		return nil
	}
	defer t.close()
	var stop error
	err = guarded(func() error {
		it := t.NewIterator(table.NOCACHE)
		defer it.Close()
		for it.Seek(newestOf(x.from)); it.Valid() && stop == nil; it.Next() {
			stop = x.addEntry(it.Key(), it.Value())
		}
		return nil
	})
	_ = err // a table that cannot be read to its end gave what it has
	return stop
}

func (x *salvage) addEntry(versioned []byte, v y.ValueStruct) error {
	key, ts := y.ParseKey(versioned), y.ParseTs(versioned)
	if string(key) == positionKey {
		if at, _, err := parsePosition(v.Value); err == nil && at.seq > x.at.seq {
			x.at = at
		}
		return nil
	}
	x.newest = max(x.newest, ts)
	if bytes.HasPrefix(key, []byte(reserved)) {
		return nil
	}
	s := keystore.Salvaged{At: ts, Key: bytes.Clone(key)}
	if v.Meta&deleted == 0 {
		s.Value = bytes.Clone(v.Value)
	}
	return x.each(s)
}

// addSegment passes on the batches of a segment of the redo log. Those whose MACs hold are
// newer than the tables if their numbers are. Behind them, and in a segment without a
// valid header, it takes what has the form of a record, as the oldest.
func (x *salvage) addSegment(name string) error {
	s, err := openRedoSegment(x.dir, name, x.mac, false)
	if err != nil || s.file == nil {
		return nil
	}
	defer s.close()
	content, err := io.ReadAll(io.NewSectionReader(s.file, 0, segmentSize))
	if err != nil {
		return nil
	}
	if err := s.readHead(); err != nil || !s.valid {
		if err := x.older(content); err != nil {
			return err
		}
		return x.loose(content, segmentStart)
	}
	err = s.each(math.MaxUint64, func(r entry) error {
		at := r.at.seq
		if at > x.at.seq {
			at = x.newest + at - x.at.seq
		}
		return x.batch(at, r.batch)
	})
	if err != nil {
		return err
	}
	return x.loose(content, int(s.end))
}

// older passes the batches of a redo log of format 1 on.
func (x *salvage) older(content []byte) (err error) {
	eachV1(content, func(at position, b keystore.Batch) {
		if err == nil {
			err = x.batch(x.newest+at.seq, b)
		}
	})
	return err
}

// loose passes records on whose MACs do not hold.
func (x *salvage) loose(content []byte, at int) error {
	for at+recordHeader+macSize <= len(content) {
		r := reader{rest: content[at:]}
		n := int(r.number(4))
		if n < recordHeader+macSize || n > maxRecord || at+n > len(content) {
			return nil
		}
		_, b, ok := parseRecord(content[at : at+n])
		if !ok {
			b = keystore.Batch{}
		}
		if err := x.batch(0, keystore.Batch{Put: b.Put}); err != nil {
			return err
		}
		at += n
	}
	return nil
}

func (x *salvage) batch(at uint64, b keystore.Batch) error {
	for _, p := range b.Put {
		if bytes.Compare(p.Key, x.from) < 0 {
			continue
		}
		if err := x.each(keystore.Salvaged{At: at, Key: bytes.Clone(p.Key), Value: bytes.Clone(p.Value)}); err != nil {
			return err
		}
	}
	for _, key := range b.Delete {
		if err := x.each(keystore.Salvaged{At: at, Key: bytes.Clone(key)}); err != nil {
			return err
		}
	}
	return nil
}

// salvageOlder reads a store that Badger itself kept, and that has batches in Badger's own
// log. It copies the store, lists all tables that are whole, and opens the copy as the
// engine opens such a store. done is false if the copy does not open.
func salvageOlder(cfg keystore.EngineConfig, names map[string][]string, from []byte, each func(keystore.Salvaged) error) (done bool, err error) {
	dir, err := os.MkdirTemp(cfg.Dir, "salvage")
	if err != nil {
		return false, fault("make a directory", err)
	}
	defer os.RemoveAll(dir)
	for _, ext := range []string{".sst", orphan, ".mem", ".vlog", ""} {
		for _, name := range names[ext] {
			if err := copyFile(filepath.Join(dir, strings.TrimSuffix(name, orphan)), filepath.Join(cfg.Dir, name)); err != nil {
				return false, fault("copy "+name, err)
			}
		}
	}
	var set tableSet
	for _, name := range slices.Concat(names[".sst"], names[orphan]) {
		if id, ok := tableFile(strings.TrimSuffix(name, orphan)); ok {
			if t, err := openTable(dir, id); err == nil {
				set.loose = append(set.loose, t)
			}
		}
	}
	_, err = writeManifest(dir, set)
	set.close()
	if err != nil {
		return false, err
	}
	e, err := OpenEngine(keystore.EngineConfig{Dir: dir, MAC: cfg.MAC})
	if err != nil {
		return false, nil
	}
	return true, errors.Join(scanAll(e, from, each), e.Close())
}

func scanAll(e keystore.Engine, from []byte, each func(keystore.Salvaged) error) error {
	var after []byte
	for {
		pairs, err := e.Scan(context.Background(), nil, after, 256)
		if err != nil || len(pairs) == 0 {
			return err
		}
		for _, p := range pairs {
			after = p.Key
			if bytes.Compare(p.Key, from) < 0 {
				continue
			}
			if err := each(keystore.Salvaged{At: 1, Key: p.Key, Value: p.Value}); err != nil {
				return err
			}
		}
	}
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
