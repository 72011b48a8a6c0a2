package keystore

import (
	"bytes"
	"errors"
	"fmt"
)

// settleRoot makes both copies equal to the file in force and completes an interrupted
// replacement. Faults that a crash does not explain are first committed by Config.Healed,
// in a batch of their own: if the file were repaired before the record is durable, a
// crash between the two would hide the fault.
func (s *Store) settleRoot() error {
	if err := s.recordHealing(s.rootFaults()); err != nil {
		return err
	}
	return s.finishRoot(s.putRoot)
}

// finishRoot makes both copies equal to the file in force, erases the files that a
// replacement leaves, and commits a head that announces no replacement. put replaces one
// copy. finishRoot may be repeated after any error: it does what is still to be done.
func (s *Store) finishRoot(put func(name string, b []byte) error) error {
	for _, name := range []string{rootFile, rootCopy} {
		done, err := s.holds(name, s.root.raw)
		if err == nil && !done {
			err = put(name, s.root.raw)
		}
		if err != nil {
			return err
		}
	}
	if err := s.dir.sync(); err != nil { // an earlier call may have failed after its rename
		return err
	}
	for _, name := range []string{rootOld, rootFile + ".new", rootCopy + ".new"} {
		if err := s.dropLeftover(name); err != nil {
			return err
		}
	}
	if s.head.nextRoot != [32]byte{} {
		next := s.head
		next.rootHash, next.nextRoot = s.root.hash(), [32]byte{}
		if err := s.commitGroup(s.newGroup(), next); err != nil {
			return err
		}
	}
	return s.dropNext()
}

// writeRoot replaces both copies of the root file.
func (s *Store) writeRoot(r *Root) error {
	if err := s.putRoot(rootFile, r.raw); err != nil {
		return err
	}
	return s.putRoot(rootCopy, r.raw)
}

// putRoot replaces one copy, durably, and erases the replaced file.
func (s *Store) putRoot(name string, b []byte) error {
	if err := s.writeNew(name, b); err != nil {
		return err
	}
	return s.moveIn(name)
}

// placeRoot is putRoot for a file that prepare has written. It needs no disk space.
func (s *Store) placeRoot(name string, b []byte) error {
	prepared, err := s.holds(name+".new", b)
	if err == nil && !prepared {
		err = s.writeNew(name, b)
	}
	if err != nil {
		return err
	}
	return s.moveIn(name)
}

// writeNew writes NAME.new and syncs it. It first erases the leftover of an interrupted
// replacement.
func (s *Store) writeNew(name string, b []byte) error {
	if err := s.step(name + " new"); err != nil {
		return err
	}
	if err := s.dropLeftover(name + ".new"); err != nil {
		return err
	}
	return s.dir.writeSynced(name+".new", b)
}

// moveIn renames NAME.new to NAME, durably, and erases the replaced file. The name is
// missing for a moment, during which the other copy or root.next is there.
func (s *Store) moveIn(name string) error {
	for _, do := range []struct {
		step string
		run  func() error
	}{
		{name + " aside", func() error { return errors.Join(s.dropLeftover(rootOld), s.dir.renameIfThere(name, rootOld)) }},
		{name, func() error { return s.dir.root.Rename(name+".new", name) }},
		{name + " sync", s.dir.sync},
		{name + " erase", func() error { return s.dropLeftover(rootOld) }},
	} {
		if err := s.step(do.step); err != nil {
			return err
		}
		if err := do.run(); err != nil {
			return err
		}
	}
	return nil
}

// prepare writes root.next, root.new and root.copy.new, durably, before a head names
// root.next. The steps that need disk space are therefore done while the replacement can
// still fail without a consequence.
func (s *Store) prepare(r *Root) error {
	if err := s.step(rootNext); err != nil {
		return err
	}
	if err := s.dir.writeSynced(rootNext, r.raw); err != nil {
		return err
	}
	for _, name := range []string{rootFile, rootCopy} {
		if err := s.writeNew(name, r.raw); err != nil {
			return err
		}
	}
	return s.dir.sync()
}

// dropPrepared erases the files that prepare writes. The next replacement or the next
// Open erases those that it could not.
func (s *Store) dropPrepared() error {
	return errors.Join(s.dropNext(), s.dropLeftover(rootFile+".new"), s.dropLeftover(rootCopy+".new"))
}

// holds reports whether a file has exactly the bytes b. A file that cannot be read does
// not have them, unless a shortage is the reason, which holds returns.
func (s *Store) holds(name string, b []byte) (bool, error) {
	found, err := s.dir.readBounded(name, maxRootFile)
	if shortage(err) {
		return false, err
	}
	return err == nil && bytes.Equal(found, b), nil
}

// dropNext erases root.next.
func (s *Store) dropNext() error {
	if err := s.step("drop " + rootNext); err != nil {
		return err
	}
	return s.dropLeftover(rootNext)
}

// dropLeftover erases a file left by a replacement of the root file. The name alone does
// not prove that it is one: the root file of another vault is set aside instead.
func (s *Store) dropLeftover(name string) error {
	r, err := s.dir.readRootFile(name)
	if shortage(err) {
		return err
	}
	if err == nil && r.VaultID != s.root.VaultID {
		return s.dir.setAside(name)
	}
	return s.dir.erase(name)
}

// checkRoots returns ErrCorrupt if a copy of the root file is not the one in force, and
// the error of a shortage that keeps it from being read.
func (s *Store) checkRoots() error {
	for _, name := range []string{rootFile, rootCopy} {
		same, err := s.holds(name, s.root.raw)
		if err != nil {
			return environment("read", s.dir.join(name), err)
		}
		if !same {
			return fmt.Errorf("%w: root file %q is not the one last written", ErrCorrupt, name)
		}
	}
	return nil
}
