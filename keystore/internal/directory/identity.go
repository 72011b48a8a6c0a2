package directory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/osfile"
)

// IsAt returns ErrReplaced unless the name in the directory is that of the open file f.
// It returns nil for an error that does not decide the question, such as EIO.
func (d *Dir) IsAt(name string, f *os.File) error {
	want, err := osfile.StampOf(f)
	if err != nil {
		return nil
	}
	found, err := osfile.StampIn(d.root, name)
	return replaced(d.Join(name), found.Same, want, err)
}

// IsHere returns ErrReplaced unless the directory's path still names it.
func (d *Dir) IsHere() error {
	found, err := osfile.StampAt(d.path)
	return replaced(d.path, found.Same, d.id, err)
}

// replaced returns ErrReplaced if the stamp found at a path shows that the file is not
// the wanted one.
func replaced(path string, same func(osfile.Stamp) bool, want osfile.Stamp, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: %s was removed or moved away", fault.ErrReplaced, path)
	case err == nil && !same(want):
		return fmt.Errorf("%w: %s is another file or directory than the one that was opened", fault.ErrReplaced, path)
	}
	return nil
}

// settledAfter is how long a directory's time of change must stay the same before it
// proves that no entry changed: two changes within the resolution of the file system's
// clock, up to 10 ms on older kernels, leave the same time.
const settledAfter = 50 * time.Millisecond

// A Watch shows whether the entries of a directory have changed.
type Watch struct {
	dir     *os.File
	changed int64     // as of the last Note
	since   time.Time // when changed was first seen
	settled bool
}

// Watch returns a Watch of the directory, which is not quiet yet.
func (d *Dir) Watch() Watch { return Watch{dir: d.self} }

// Quiet reports whether no entry of the directory has changed since the last Note.
func (w *Watch) Quiet() bool {
	now, err := osfile.StampOf(w.dir)
	return err == nil && w.settled && now.Changed() == w.changed
}

// Note records the directory's time of change. The caller then compares the entries with the
// files that it has open.
func (w *Watch) Note() {
	now, err := osfile.StampOf(w.dir)
	if err != nil || now.Changed() != w.changed {
		w.changed, w.since, w.settled = now.Changed(), time.Now(), false
		return
	}
	w.settled = time.Since(w.since) > settledAfter
}
