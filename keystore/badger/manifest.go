package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"

	"strongroom.example/keystore"
)

// manifestNew is the list of tables before it takes the place of the one in force.
const manifestNew = "MANIFEST.new"

// readTables opens the tables that the list has. ErrCorrupt names the list or the
// table that is damaged or missing.
func readTables(dir string) (s tableSet, err error) {
	listed, err := readManifest(dir)
	if err != nil {
		return s, err
	}
	var loose, run []*sorted
	defer func() {
		if err != nil {
			tableSet{loose, run}.close()
		}
	}()
	for id, of := range listed.Tables {
		file := table.NewFilename(id, dir)
		if _, err := os.Stat(file); err != nil {
			list := filepath.Join(dir, badger.ManifestFilename)
			return s, fmt.Errorf("%w: %s lists %s, which is missing", keystore.ErrCorrupt, list, file)
		}
		t, err := openTable(dir, id)
		if err != nil {
			return s, err
		}
		if of.Level == runLevel {
			run = append(run, t)
		} else {
			loose = append(loose, t)
		}
	}
	return newTableSet(loose, run), nil
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
	if err := syncDir(dir); err != nil {
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
