package badger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/ristretto/v2/z"

	"strongroom.example/keystore"
)

// inspect checks the files of a store before Badger opens them, and clears what a
// killed process left that Badger trips over. It answers the tables.
func inspect(dir string) ([]badger.TableInfo, error) {
	names, err := files(dir)
	if err != nil {
		return nil, err
	}
	if err := tidy(dir, names); err != nil {
		return nil, err
	}
	for _, name := range slices.Concat(names[".mem"], names[".vlog"]) {
		if err := checkLog(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	tables, err := checkManifest(dir, names)
	if err != nil {
		return nil, err
	}
	return tables, checkRegistry(dir)
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

// tidy removes log files of no length: a process that is killed between making
// such a file and sizing it leaves one, which holds nothing, and over which
// Badger's next Open would fail. It also removes DISCARD, statistics of a value
// log that is never used, since Badger exits the process over a damaged one.
func tidy(dir string, names map[string][]string) error {
	for _, name := range slices.Concat(names[".mem"], names[".vlog"]) {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err == nil && info.Size() == 0 {
			err = os.Remove(path)
		}
		if err != nil {
			return fmt.Errorf("keystore/badger: %w", err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "DISCARD")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keystore/badger: %w", err)
	}
	return nil
}

// checkLog checks the key id that a log file begins with: it is 0, since Badger
// does not encrypt here, and Badger's Open fails half-way over another.
func checkLog(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed by tidy
	}
	if err != nil {
		return fmt.Errorf("keystore/badger: %w", err)
	}
	defer f.Close()
	var id [8]byte
	if _, err := io.ReadFull(f, id[:]); err != nil || id != [8]byte{} {
		return damaged(path)
	}
	return nil
}

// checkTable reads a whole table on this goroutine, where a panic or a fault in
// the map is an error. Badger reads it on one of its own, where it is the end.
func checkTable(path string) (found badger.TableInfo, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	info, err := os.Stat(path)
	if err != nil {
		return found, fmt.Errorf("keystore/badger: %w", err)
	}
	if _, ok := table.ParseFileID(filepath.Base(path)); !ok || info.Size() == 0 {
		return found, damaged(path)
	}
	file, err := z.OpenMmapFile(path, os.O_RDONLY, 0)
	if err != nil {
		return found, fmt.Errorf("keystore/badger: map table %s: %w", path, err)
	}
	defer func() {
		if recover() != nil {
			err = damaged(path)
		}
		_ = z.Munmap(file.Data)
		_ = file.Fd.Close()
	}()
	// Without verification OpenTable leaves the map open in every case, which is
	// what lets it be closed once and only here.
	t, err := table.OpenTable(file, table.Options{ReadOnly: true, ChkMode: options.NoVerification})
	if err == nil {
		err = t.VerifyChecksum()
	}
	if err != nil {
		return found, damaged(path)
	}
	found.Left, found.Right = bytes.Clone(t.Smallest()), bytes.Clone(t.Biggest())
	found.OnDiskSize = uint32(info.Size())
	return found, nil
}

func damaged(path string) error {
	return fmt.Errorf("%w: %s is damaged", keystore.ErrCorrupt, path)
}

// checkRegistry checks the file that Badger makes even where it does not encrypt.
func checkRegistry(dir string) error {
	r, err := badger.OpenKeyRegistry(badger.KeyRegistryOptions{Dir: dir, ReadOnly: true})
	if err != nil {
		return damaged(filepath.Join(dir, badger.KeyRegistryFileName))
	}
	return r.Close()
}
