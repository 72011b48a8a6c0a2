package badger

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"

	"strongroom.example/keystore"
	"strongroom.example/keystore/internal/osfile"
)

// manifestNew is the list of tables before it takes the place of the one in force.
const manifestNew = "MANIFEST.new"

// readTables opens the tables that the list has, on all cores, because it reads every
// byte of them. ErrCorrupt names the list or the table that is damaged or missing.
func readTables(dir string) (s tableSet, err error) {
	listed, err := readManifest(dir)
	if err != nil {
		return s, err
	}
	ids := slices.Sorted(maps.Keys(listed.Tables))
	tables, faults := make([]*sorted, len(ids)), make([]error, len(ids))
	var open sync.WaitGroup
	next := make(chan int)
	for range min(len(ids), runtime.GOMAXPROCS(0)) {
		open.Go(func() {
			for i := range next {
				tables[i], faults[i] = openListed(dir, ids[i])
			}
		})
	}
	for i := range ids {
		next <- i
	}
	close(next)
	open.Wait()
	var loose, run []*sorted
	for i, t := range tables {
		switch {
		case t == nil:
			err = cmp.Or(err, faults[i])
		case listed.Tables[ids[i]].Level == runLevel:
			run = append(run, t)
		default:
			loose = append(loose, t)
		}
	}
	if err != nil {
		tableSet{loose, run}.close()
		return s, err
	}
	return newTableSet(loose, run), nil
}

// openListed opens a table that the list has.
func openListed(dir string, id uint64) (*sorted, error) {
	file := table.NewFilename(id, dir)
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
		list := filepath.Join(dir, badger.ManifestFilename)
		return nil, fmt.Errorf("%w: %s lists %s, which is missing", keystore.ErrCorrupt, list, file)
	}
	return openTable(dir, id)
}

// readManifest reads the list. It is empty in a directory without any file of a store.
func readManifest(dir string) (badger.Manifest, error) {
	path := filepath.Join(dir, badger.ManifestFilename)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return badger.Manifest{}, checkUnlisted(dir, path)
	}
	if err != nil {
		return badger.Manifest{}, fmt.Errorf("keystore/badger: %w", err)
	}
	listed, end, err := replayManifest(path)
	if err != nil || end != int64(len(content)) {
		return listed, damaged(path)
	}
	return listed, nil
}

// checkUnlisted is for a directory without the list: right for a new store, which has
// no tables or logs either.
func checkUnlisted(dir, path string) error {
	names, err := files(dir)
	if err != nil {
		return err
	}
	if len(names[".sst"]) > 0 || len(names[".mem"]) > 0 || len(names[".vlog"]) > 0 {
		return fmt.Errorf("%w: %s is missing beside the files it lists", keystore.ErrCorrupt, path)
	}
	return nil
}

// replayManifest reads the list and tells where its last whole entry ends.
func replayManifest(path string) (badger.Manifest, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return badger.Manifest{}, 0, err
	}
	defer f.Close()
	return badger.ReplayManifestFile(f, 0, badger.Options{})
}

// writeManifest replaces the list, durably. After an error inDoubt tells that the old
// list or the new one may be in force.
func writeManifest(dir string, s tableSet) (inDoubt bool, err error) {
	path := filepath.Join(dir, manifestNew)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return false, fault("make the list of tables", err)
	}
	_, err = f.Write(encodeManifest(s))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return false, fault("write the list of tables", err)
	}
	if err := os.Rename(path, filepath.Join(dir, badger.ManifestFilename)); err != nil {
		return true, fault("replace the list of tables", err)
	}
	if err := osfile.SyncPath(dir); err != nil {
		return true, fault("sync the directory", err)
	}
	return false, nil
}

// encodeManifest makes a list of one entry, as Badger writes it: a ManifestChangeSet
// whose changes are {id = 1, level = 3}, the other fields being 0.
func encodeManifest(s tableSet) []byte {
	var set []byte
	add := func(t *sorted, level uint64) {
		change := binary.AppendUvarint([]byte{1 << 3}, t.id)
		if level > 0 {
			change = binary.AppendUvarint(append(change, 3<<3), level)
		}
		set = binary.AppendUvarint(append(set, 1<<3|2), uint64(len(change)))
		set = append(set, change...)
	}
	for _, t := range s.loose {
		add(t, 0)
	}
	for _, t := range s.run {
		add(t, runLevel)
	}
	b := append([]byte("Bdgr"), 0, 0, 0, 8)
	if len(set) == 0 {
		return b
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(set)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(set, crc32.MakeTable(crc32.Castagnoli)))
	return append(b, set...)
}

// files lists the store's files by extension.
func files(dir string) (map[string][]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("keystore/badger: %w", err)
	}
	names := map[string][]string{}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		names[ext] = append(names[ext], e.Name())
	}
	return names, nil
}
