package badger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// harden makes all that Badger has durable, so that the redo log can begin again.
// No batch may be under way. Badger syncs its tables and the list of them by
// itself. Of its logs it syncs the newest one only (DB.Sync), so the older ones
// must have become tables first; it is at that whenever there are any.
func (e *engine) harden() error {
	if err := e.flushed(); err != nil {
		return err
	}
	err := errors.Join(e.db.Sync(), e.syncLogs(), syncDir(e.dir))
	if err != nil {
		e.watch.Errorf("a sync that failed: %T", err)
	}
	return e.watch.err()
}

// flushed waits until Badger has one log at most. A flush that fails trips the
// watch.
func (e *engine) flushed() error {
	for {
		names, err := files(e.dir)
		if err != nil || len(names[".mem"]) <= 1 {
			return err
		}
		if err := e.watch.err(); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// syncLogs syncs the log as a file: what DB.Sync does for Badger's map of it is not
// the whole way to the disk on every system.
func (e *engine) syncLogs() error {
	names, err := files(e.dir)
	for _, name := range names[".mem"] {
		f, openErr := os.OpenFile(filepath.Join(e.dir, name), os.O_RDWR, 0)
		if errors.Is(openErr, fs.ErrNotExist) {
			continue // it became a table
		}
		if openErr != nil {
			return openErr
		}
		err = errors.Join(err, f.Sync(), f.Close())
	}
	return err
}
