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
	for _, name := range []string{rootFile, rootCopy} {
		b, err := s.dir.readBounded(name, maxRootFile)
		if err == nil && bytes.Equal(b, s.root.raw) {
			continue
		}
		if err := s.putRoot(name, s.root.raw); err != nil {
			return err
		}
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

// putRoot replaces one copy, durably, and erases the replaced file. Before that it erases
// the leftovers of an interrupted replacement. The name is missing for a moment, during
// which the other copy and root.next are there.
func (s *Store) putRoot(name string, b []byte) error {
	for _, do := range []struct {
		step string
		run  func() error
	}{
		{name + " new", func() error { return errors.Join(s.dropLeftover(name+".new"), s.dir.writeSynced(name+".new", b)) }},
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

// writeNext writes root.next, durably, before a head names it.
func (s *Store) writeNext(r *Root) error {
	if err := s.step(rootNext); err != nil {
		return err
	}
	if err := s.dir.writeSynced(rootNext, r.raw); err != nil {
		return err
	}
	return s.dir.sync()
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
	if r, err := s.dir.readRootFile(name); err == nil && r.VaultID != s.root.VaultID {
		return s.dir.setAside(name)
	}
	return s.dir.erase(name)
}

// checkRoots returns ErrCorrupt if a copy of the root file is not the one in force.
func (s *Store) checkRoots() error {
	for _, name := range []string{rootFile, rootCopy} {
		b, err := s.dir.readBounded(name, maxRootFile)
		if err != nil || !bytes.Equal(b, s.root.raw) {
			return fmt.Errorf("%w: root file %q is not the one last written", ErrCorrupt, name)
		}
	}
	return nil
}
