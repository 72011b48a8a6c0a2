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

// Intact is an optional interface of an Engine that keeps files. The store calls it
// between batches to check that the files are still there.
type Intact interface {
	// Intact returns nil if every file that the engine relies on still has its name.
	// Otherwise it writes again, under their names, the files that it can, and returns
	// ErrReplaced. It is not called while a Commit runs.
	Intact() error
}

// isAt returns ErrReplaced unless the name in the directory is that of the open file f.
// It returns nil for an error that does not decide the question, such as EIO.
func (d *directory) isAt(name string, f *os.File) error {
	want, err := stampOf(f)
	if err != nil {
		return nil
	}
	found, err := d.stampAt(name)
	return replaced(d.join(name), found.same, want, err)
}

// isHere returns ErrReplaced unless the directory's path still names it.
func (d *directory) isHere() error {
	found, err := stampPath(d.path)
	return replaced(d.path, found.same, d.id, err)
}

// replaced returns ErrReplaced if the stamp found at a path shows that the file is not
// the wanted one.
func replaced(path string, same func(stamp) bool, want stamp, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: %s was removed or moved away", ErrReplaced, path)
	case err == nil && !same(want):
		return fmt.Errorf("%w: %s is another file or directory than the one that was opened", ErrReplaced, path)
	}
	return nil
}

// settledAfter is how long a directory's time of change must stay the same before it
// proves that no entry changed: two changes within the resolution of the file system's
// clock, up to 10 ms on older kernels, leave the same time.
const settledAfter = 50 * time.Millisecond

// watched is a directory whose entries the store relies on.
type watched struct {
	dir     *os.File
	changed int64     // as of the last lookClosely
	since   time.Time // when changed was first seen
	settled bool
}

// quiet reports whether no entry of the directory has changed since the last lookClosely.
func (w *watched) quiet() bool {
	now, err := stampOf(w.dir)
	return err == nil && w.settled && now.changed == w.changed
}

// note records the directory's time of change, before lookClosely compares the files.
func (w *watched) note() {
	now, err := stampOf(w.dir)
	if err != nil || now.changed != w.changed {
		w.changed, w.since, w.settled = now.changed, time.Now(), false
		return
	}
	w.settled = time.Since(w.since) > settledAfter
}

// look returns ErrReplaced, and the store fails closed, if the directory or a file in it
// is not the one that the store has open. It runs before a commit is acknowledged. If no
// entry has changed it makes three system calls, about a microsecond in all.
func (s *Store) look() error {
	if err := s.dir.isHere(); err != nil {
		return s.displaced(err)
	}
	if s.names.quiet() && s.engineNames.quiet() {
		return nil
	}
	return s.lookClosely()
}

// lookClosely compares every file, regardless of the directories' times of change.
func (s *Store) lookClosely() error {
	s.names.note()
	s.engineNames.note()
	if err := s.compare(); err != nil {
		return s.displaced(err)
	}
	return s.inner.restrictAll()
}

// compare checks that every name in the store's directory is that of the file that the
// store has open.
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
	if s.whole && !s.unplaced {
		errs = append(errs, s.lookAtRoots())
	}
	if e, ok := s.engine.(Intact); ok {
		errs = append(errs, e.Intact())
	}
	return errors.Join(errs...)
}

// lookAtRoots returns ErrReplaced if a copy of the root file is not the one in force.
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

// displaced makes the store fail closed if cause is ErrReplaced, and writes the tip and
// the root files again under their names.
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

// writeAgain writes the tip and the root files, which the store has in memory or open,
// again under their names, so that the next Open finds them. It does so only if the
// directory is certainly the store's: it is at its path, and this store holds its lock.
func (s *Store) writeAgain() error {
	if s.cfg.Lock == nil || s.dir.isHere() != nil || s.dir.isAt(lockName, s.cfg.Lock.file) != nil {
		return nil
	}
	var errs []error
	if s.dir.isAt(tipFile, s.tip.file) != nil {
		errs = append(errs, s.dir.setAside(tipFile), s.tip.writeAgain(s.dir))
	}
	if !s.whole || s.unplaced { // Open takes root.next
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
