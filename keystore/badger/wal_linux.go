package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"strongroom.example/keystore"
)

// badgerSyncs is off: Badger's SyncWrites syncs the value log, which is idle here,
// beside the write-ahead log, and so doubles what a commit waits for. wal syncs
// the one file that matters.
//
// db.Sync would not do: with several transactions it misses a log that was rotated
// away. Here each batch is one transaction of the only writer. Badger rotates
// before it writes a transaction, never within one, so that the newest log holds
// all of it when Commit returns; every older log was synced by its own commits.
const badgerSyncs = false

// wal is Badger's newest write-ahead log, *.mem.
type wal struct {
	dir  string
	id   int
	file *os.File
}

// openWAL finds the newest log of an open Badger.
func openWAL(dir string) (*wal, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return nil, err
	}
	w := &wal{dir: dir, id: -1}
	for _, name := range names {
		id, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(name), ".mem"))
		if err == nil {
			w.id = max(w.id, id)
		}
	}
	if w.id < 0 {
		return nil, fmt.Errorf("%w: badger made no write-ahead log in %s", keystore.ErrUnavailable, dir)
	}
	w.file, err = os.Open(w.path(w.id))
	return w, err
}

func (w *wal) path(id int) string { return filepath.Join(w.dir, fmt.Sprintf("%05d.mem", id)) }

// sync makes what was committed durable. After an error nothing is known of the
// file: do not call it again.
func (w *wal) sync() error {
	if err := w.follow(); err != nil {
		return err
	}
	for {
		err := unix.Fdatasync(int(w.file.Fd()))
		if err != unix.EINTR {
			return err
		}
	}
}

// follow turns to the newest log if Badger has rotated, and makes its name durable.
func (w *wal) follow() error {
	rotated := false
	for {
		next, err := os.Open(w.path(w.id + 1))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		w.file.Close()
		w.file, w.id, rotated = next, w.id+1, true
	}
	if !rotated {
		return nil
	}
	d, err := os.Open(w.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (w *wal) close() { w.file.Close() }
