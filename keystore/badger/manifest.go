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

// checkManifest checks the list of tables, and each table that it has. One that it
// does not have was being written when the process was killed; Badger removes it
// at open, and what it was made from is still in the logs. Badger takes a list that is cut short
// for a torn write, opens without an error, and removes every table that the list
// no longer has.
func checkManifest(dir string, names map[string][]string) ([]badger.TableInfo, error) {
	path := filepath.Join(dir, badger.ManifestFilename)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, checkUnlisted(path, names)
	}
	if err != nil {
		return nil, fmt.Errorf("keystore/badger: %w", err)
	}
	listed, end, err := replay(path)
	if err != nil {
		return nil, damaged(path)
	}
	tables, err := checkTables(dir, listed)
	if err != nil || end == int64(len(content)) {
		return tables, err
	}
	if wholeEntry(content[end:]) {
		return nil, damaged(path)
	}
	return tables, setAside(dir, names[".sst"], listed)
}

// checkTables checks the tables that the list has.
func checkTables(dir string, listed badger.Manifest) (tables []badger.TableInfo, err error) {
	for id, of := range listed.Tables {
		file := table.NewFilename(id, dir)
		if _, err := os.Stat(file); err != nil {
			list := filepath.Join(dir, badger.ManifestFilename)
			return nil, fmt.Errorf("%w: %s lists %s, which is missing", keystore.ErrCorrupt, list, file)
		}
		t, err := checkTable(file)
		if err != nil {
			return nil, err
		}
		t.Level = int(of.Level)
		tables = append(tables, t)
	}
	return tables, nil
}

// checkUnlisted is for a directory without MANIFEST: right for a new store, which
// has no tables or logs either.
func checkUnlisted(path string, names map[string][]string) error {
	if len(names[".sst"]) > 0 || len(names[".mem"]) > 0 || len(names[".vlog"]) > 0 {
		return fmt.Errorf("%w: %s is missing beside the files it lists", keystore.ErrCorrupt, path)
	}
	return nil
}

// replay reads the list, and tells where its last whole entry ends.
func replay(path string) (badger.Manifest, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return badger.Manifest{}, 0, err
	}
	defer f.Close()
	return badger.ReplayManifestFile(f, 0, badger.Options{})
}

// wholeEntry reports whether what Badger takes for a torn entry is a whole one
// whose length was changed: some beginning of its body has the entry's checksum.
// An entry is length u32be, CRC-32C u32be, body.
func wholeEntry(tail []byte) bool {
	if len(tail) < 8 {
		return false
	}
	want, body := binary.BigEndian.Uint32(tail[4:8]), tail[8:]
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	sum := uint32(0)
	for i := range body {
		sum = crc32.Update(sum, castagnoli, body[i:i+1])
		if sum == want {
			return true
		}
	}
	return false
}

// setAside renames tables that a torn list does not have, so that Badger does not
// remove them: after a torn write they are left over, but after damage they may
// be all that remains for a repair.
func setAside(dir string, tables []string, listed badger.Manifest) error {
	for _, name := range tables {
		id, _ := table.ParseFileID(name)
		if _, ok := listed.Tables[id]; ok {
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.Rename(path, path+".orphan"); err != nil {
			return fmt.Errorf("keystore/badger: %w", err)
		}
	}
	return nil
}
