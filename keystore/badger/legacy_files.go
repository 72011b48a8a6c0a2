package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
)

// inspect checks the files of a store before Badger opens them, since Badger opens
// tables on goroutines of its own, where a panic ends the process; and removes what a
// killed process left that Badger trips over.
func inspect(dir string, names map[string][]string) error {
	if err := tidyLogs(dir, names); err != nil {
		return err
	}
	for _, name := range slices.Concat(names[".mem"], names[".vlog"]) {
		if err := checkLog(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := tidyManifest(dir, names); err != nil {
		return err
	}
	tables, err := readTables(dir)
	if err != nil {
		return err
	}
	tables.close()
	return checkRegistry(dir)
}

// tidyLogs removes log files of no length: a process that is killed between making
// such a file and sizing it leaves one, which holds nothing, and over which
// Badger's next Open would fail. It also removes DISCARD, statistics of a value
// log that is never used, since Badger exits the process over a damaged one.
func tidyLogs(dir string, names map[string][]string) error {
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
		return nil // removed by tidyLogs
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

// checkRegistry checks the file that Badger makes even where it does not encrypt.
func checkRegistry(dir string) error {
	r, err := badger.OpenKeyRegistry(badger.KeyRegistryOptions{Dir: dir, ReadOnly: true})
	if err != nil {
		return damaged(filepath.Join(dir, badger.KeyRegistryFileName))
	}
	return r.Close()
}

// tidyManifest cuts off a last entry of the list of tables that is not whole, as a kill
// leaves it. A whole entry whose length was changed is damage.
func tidyManifest(dir string, names map[string][]string) error {
	path := filepath.Join(dir, badger.ManifestFilename)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // readTables knows whether there must be one
	}
	if err != nil {
		return fmt.Errorf("keystore/badger: %w", err)
	}
	listed, end, err := replayManifest(path)
	if err != nil {
		return damaged(path)
	}
	if end == int64(len(content)) {
		return nil
	}
	if wholeEntry(content[end:]) {
		return damaged(path)
	}
	if err := setAside(dir, names[".sst"], listed); err != nil {
		return err
	}
	if err := os.Truncate(path, end); err != nil {
		return fault("cut the list of tables", err)
	}
	return nil
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

// orphan ends the names of tables that a torn list does not have.
const orphan = ".orphan"

// setAside renames tables that a torn list does not have, so that Badger does not
// remove them: after a torn write they are left over, but after damage they may
// be all that remains for a repair.
func setAside(dir string, tables []string, listed badger.Manifest) error {
	for _, name := range tables {
		id, _ := tableFile(name)
		if _, ok := listed.Tables[id]; ok {
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.Rename(path, path+orphan); err != nil {
			return fmt.Errorf("keystore/badger: %w", err)
		}
	}
	return nil
}

// faultLog is the logger that Badger is given. It prints nothing, since messages can
// hold values. A warning or an error means that a flush or the list of tables failed.
type faultLog struct{ tripped atomic.Bool }

// Errorf and Warningf note that there was a fault.
func (l *faultLog) Errorf(string, ...any)   { l.tripped.Store(true) }
func (l *faultLog) Warningf(string, ...any) { l.tripped.Store(true) }

// Infof and Debugf drop the message.
func (l *faultLog) Infof(string, ...any)  {}
func (l *faultLog) Debugf(string, ...any) {}
