package badger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/dgraph-io/badger/v4"

	"strongroom.example/keystore"
	"strongroom.example/keystore/internal/osfile"
)

// Intact is ErrReplaced if a file that the store relies on has lost its name. The file
// is written again under it, from what the engine has open or mapped; one that stands
// there instead is set aside.
func (e *engine) Intact() error {
	e.open.RLock()
	defer e.open.RUnlock()
	e.commit.Lock()
	defer e.commit.Unlock()
	if e.closed {
		return nil
	}
	return errors.Join(e.logIntact(), e.tablesIntact())
}

// logIntact checks the segments of the redo log and the epoch.
func (e *engine) logIntact() error {
	var faults []error
	for _, s := range []*redoSegment{e.log, e.other} {
		if s.file != nil {
			faults = append(faults, e.fileIntact(s.name, &s.file))
		}
	}
	faults = append(faults, e.fileIntact(epochFile, &e.epoch.file))
	if err := errors.Join(faults...); err != nil {
		return errors.Join(err, e.log.ready())
	}
	return nil
}

// fileIntact checks one file that is open. Where its name is lost the file is copied to
// the name, and the copy is used from then on.
func (e *engine) fileIntact(name string, file **os.File) error {
	want, err := (*file).Stat()
	if err != nil || e.isAt(name, want) {
		return nil
	}
	content := io.NewSectionReader(*file, 0, want.Size())
	fresh, err := e.writeAgain(name, content)
	if err == nil {
		err = (*file).Close()
		*file = fresh
	}
	return errors.Join(e.replaced(name), err)
}

// tablesIntact checks the list of tables and the tables.
func (e *engine) tablesIntact() error {
	e.files.Lock()
	defer e.files.Unlock()
	set := e.tables()
	var faults []error
	for _, t := range set.all() {
		name := filepath.Base(t.path)
		if e.isAt(name, t.info) {
			continue
		}
		faults = append(faults, e.replaced(name), guarded(func() error { return e.writeTableAgain(name, t) }))
	}
	if !e.doubted && !e.listed(set) {
		err := e.setAside(badger.ManifestFilename)
		_, again := writeManifest(e.dir, set)
		faults = append(faults, e.replaced(badger.ManifestFilename), err, again)
	}
	return errors.Join(faults...)
}

func (e *engine) writeTableAgain(name string, t *sorted) error {
	if err := t.VerifyChecksum(); err != nil {
		return damaged(t.path)
	}
	f, err := e.writeAgain(name, bytes.NewReader(t.data))
	if err != nil {
		return err
	}
	defer f.Close()
	t.info, err = f.Stat()
	return err
}

// listed reports whether the list of tables has these. A list that cannot be read for
// another reason than that it is gone is not known to be lost.
func (e *engine) listed(set tableSet) bool {
	path := filepath.Join(e.dir, badger.ManifestFilename)
	if _, err := os.Lstat(path); err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	found, _, err := replayManifest(path)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.EIO) {
		return true
	}
	if err != nil {
		return false
	}
	if len(found.Tables) != len(set.all()) {
		return false
	}
	for _, t := range set.all() {
		if _, ok := found.Tables[t.id]; !ok {
			return false
		}
	}
	return true
}

// isAt reports whether a name is that of a file, or is not known to be another's.
func (e *engine) isAt(name string, want os.FileInfo) bool {
	found, err := os.Lstat(filepath.Join(e.dir, name))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	return os.SameFile(found, want)
}

func (e *engine) replaced(name string) error {
	return fmt.Errorf("%w: %s was removed, moved or replaced", keystore.ErrReplaced, filepath.Join(e.dir, name))
}

// writeAgain puts content under a name, durably, and returns the open file. What stands
// there is set aside.
func (e *engine) writeAgain(name string, content io.Reader) (*os.File, error) {
	if err := e.setAside(name); err != nil {
		return nil, err
	}
	path := filepath.Join(e.dir, name)
	f, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(f, content)
	if err = errors.Join(err, f.Sync()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	// Opened by its name: the log opens the file once more by the name that it was opened by.
	if f, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		return nil, err
	}
	return f, osfile.SyncPath(e.dir)
}

// setAside renames what stands under a name to a name that is free.
func (e *engine) setAside(name string) error {
	path := filepath.Join(e.dir, name)
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.aside%d", path, n)
		if _, err := os.Lstat(aside); err == nil {
			continue
		}
		if err := os.Rename(path, aside); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
}
