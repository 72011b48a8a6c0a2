package keystore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"strongroom.example/keystore/internal/rootfile"
)

// Intact is an optional interface of an Engine that keeps files. The store calls it
// between batches to check that the files are still there.
type Intact interface {
	// Intact returns nil if every file that the engine relies on still has its name.
	// Otherwise it writes again, under their names, the files that it can, and returns
	// ErrReplaced. It is not called while a Commit runs.
	Intact() error
}

// lookClosely compares every file, regardless of the directories' times of change.
func (s *Store) lookClosely() error {
	s.names.Note()
	s.engineNames.Note()
	if err := s.compare(); err != nil {
		return s.displaced(err)
	}
	return s.inner.RestrictAll()
}

// compare checks that every name in the store's directory is that of the file that the
// store has open.
func (s *Store) compare() error {
	if err := s.dir.IsHere(); err != nil {
		return err
	}
	if s.cfg.Lock != nil {
		if err := s.dir.IsAt(lockName, s.cfg.Lock.file); err != nil {
			return err
		}
	}
	if err := s.dir.IsAt(s.named(engineDir), s.inner.File()); err != nil {
		return err
	}
	errs := []error{s.tip.IsAt(s.dir, s.named(tipFile))}
	if s.journal != nil {
		errs = append(errs, s.journal.IsAt(s.dir, s.named(JournalFile)))
	}
	if s.whole && !s.unplaced {
		errs = append(errs, s.lookAtRoots())
	}
	if e, ok := s.engine.(Intact); ok {
		errs = append(errs, s.engineError(e.Intact()))
	}
	return errors.Join(errs...)
}

// lookAtRoots returns ErrReplaced if a copy of the root file is not the one in force.
func (s *Store) lookAtRoots() error {
	for _, name := range []string{rootfile.Name, rootfile.Copy} {
		b, err := s.dir.ReadBounded(name, rootfile.MaxSize)
		lost := errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDirectory) || errors.Is(err, ErrReplaced)
		if lost || err == nil && !bytes.Equal(b, s.root.file.Bytes()) {
			return fmt.Errorf("%w: %s is not the file that was written last", ErrReplaced, s.dir.Join(name))
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
	if s.cfg.Lock == nil || s.dir.IsHere() != nil || s.dir.IsAt(lockName, s.cfg.Lock.file) != nil {
		return nil
	}
	var errs []error
	if s.tip.IsAt(s.dir, tipFile) != nil {
		errs = append(errs, s.dir.SetAside(tipFile), s.tip.WriteAgain(s.dir, tipFile))
	}
	if s.journal != nil && s.journal.IsAt(s.dir, JournalFile) != nil {
		errs = append(errs, s.dir.SetAside(JournalFile), s.journal.WriteAgain(s.dir, JournalFile))
	}
	if !s.whole || s.unplaced { // Open takes root.next
		return errors.Join(errs...)
	}
	for _, name := range []string{rootfile.Name, rootfile.Copy} {
		b, err := s.dir.ReadBounded(name, rootfile.MaxSize)
		if err == nil && bytes.Equal(b, s.root.file.Bytes()) {
			continue
		}
		errs = append(errs, s.dir.SetAside(name), s.copies().Put(name, s.root.file.Bytes()))
	}
	return errors.Join(errs...)
}
