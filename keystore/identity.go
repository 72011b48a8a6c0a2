package keystore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Intact is an optional ability of an Engine that keeps files: the store asks it,
// between batches, whether they are still there.
type Intact interface {
	// Intact is nil if every file that the engine relies on has its name. Else it is
	// ErrReplaced, and the engine has written again under its name what it can.
	// It is not called while a Commit runs.
	Intact() error
}

// isAt is ErrReplaced unless a name in the directory is that of the open file f. A fault
// that leaves the question open, such as EIO, is nil.
func (d *directory) isAt(name string, f *os.File) error {
	want, err := stampOf(f)
	if err != nil {
		return nil
	}
	found, err := d.stampAt(name)
	return replaced(d.join(name), found.same, want, err)
}

// isHere is ErrReplaced unless the directory's path names it still.
func (d *directory) isHere() error {
	found, err := stampPath(d.path)
	return replaced(d.path, found.same, d.id, err)
}

// replaced judges what was found at a path where want should be.
func replaced(path string, same func(stamp) bool, want stamp, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: %s was removed or moved away", ErrReplaced, path)
	case err == nil && !same(want):
		return fmt.Errorf("%w: %s is another file or directory than the one that was opened", ErrReplaced, path)
	}
	return nil
}

// settledAfter is how long a directory must have kept its time of change before that
// time proves that no name in it changed: two changes within the resolution of a file
// system's clock, up to 10 ms on older kernels, leave the same time.
const settledAfter = 50 * time.Millisecond

// watched is a directory whose list of names the store relies on.
type watched struct {
	dir     *os.File
	changed int64     // as of the last close look
	since   time.Time // when changed was first seen
	settled bool
}

// quiet reports whether no name in the directory has changed since the last close look.
func (w *watched) quiet() bool {
	now, err := stampOf(w.dir)
	return err == nil && w.settled && now.changed == w.changed
}

// note takes the directory's time of change, before a close look.
func (w *watched) note() {
	now, err := stampOf(w.dir)
	if err != nil || now.changed != w.changed {
		w.changed, w.since, w.settled = now.changed, time.Now(), false
		return
	}
	w.settled = time.Since(w.since) > settledAfter
}

// look is ErrReplaced, and the store has failed closed, if the directory or a file in
// it is not the one that the store has open. It runs before a commit is acknowledged.
// Three system calls, a microsecond in all, do where no name has changed.
func (s *Store) look() error {
	if err := s.dir.isHere(); err != nil {
		return s.displaced(err)
	}
	if s.names.quiet() && s.engineNames.quiet() {
		return nil
	}
	return s.lookClosely()
}

// lookClosely compares every file, whatever the directories' times say.
func (s *Store) lookClosely() error {
	s.names.note()
	s.engineNames.note()
	if err := s.compare(); err != nil {
		return s.displaced(err)
	}
	return s.inner.restrictAll()
}

// compare compares every file of the store with what its name stands for.
func (s *Store) compare() error {
	if err := s.dir.isHere(); err != nil {
		return err
	}
	if s.cfg.Lock != nil {
		if err := s.dir.isAt(lockName, s.cfg.Lock.file); err != nil {
			return err
		}
	}
	if err := s.dir.isAt(engineDir, s.inner.self); err != nil {
		return err
	}
	errs := []error{s.dir.isAt(tipFile, s.tip.file)}
	if s.whole {
		errs = append(errs, s.lookAtRoots())
	}
	if e, ok := s.engine.(Intact); ok {
		errs = append(errs, e.Intact())
	}
	return errors.Join(errs...)
}

// lookAtRoots is ErrReplaced if a copy of the root file is not the one in force.
func (s *Store) lookAtRoots() error {
	for _, name := range []string{rootFile, rootCopy} {
		b, err := s.dir.readBounded(name, maxRootFile)
		lost := errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDirectory) || errors.Is(err, ErrReplaced)
		if lost || err == nil && !bytes.Equal(b, s.root.raw) {
			return fmt.Errorf("%w: %s is not the file that was written last", ErrReplaced, s.dir.join(name))
		}
	}
	return nil
}

// displaced fails closed over what compare found, and writes again under their names
// the tip and the root files.
func (s *Store) displaced(cause error) error {
	if !errors.Is(cause, ErrReplaced) {
		return cause
	}
	if err := s.Failed(); err != nil {
		return err
	}
	err := s.fail(errors.Join(cause, s.writeAgain()))
	return fmt.Errorf("%w; close the vault, see that its directory is in place and nobody else's, and open it", err)
}

// writeAgain puts the tip and the root files, which the store has in memory or open,
// back under their names, so that the next Open finds them. It does nothing unless the
// directory is the store's beyond doubt: in its place, and locked by this store.
func (s *Store) writeAgain() error {
	if s.cfg.Lock == nil || s.dir.isHere() != nil || s.dir.isAt(lockName, s.cfg.Lock.file) != nil {
		return nil
	}
	var errs []error
	if s.dir.isAt(tipFile, s.tip.file) != nil {
		errs = append(errs, s.dir.setAside(tipFile), s.tip.writeAgain(s.dir))
	}
	if !s.whole {
		return errors.Join(errs...)
	}
	for _, name := range []string{rootFile, rootCopy} {
		b, err := s.dir.readBounded(name, maxRootFile)
		if err == nil && bytes.Equal(b, s.root.raw) {
			continue
		}
		errs = append(errs, s.dir.setAside(name), s.putRoot(name, s.root.raw))
	}
	return errors.Join(errs...)
}
