package keystore

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
)

// A RootFault describes a root file that Open found in a wrong state and replaced or
// removed.
type RootFault struct {
	// File is the file's name in the directory: root, root.copy or root.next.
	File string
	// Fault is the fault, one of the constants below.
	Fault string
}

// The faults of a root file.
const (
	FaultMissing      = "missing"
	FaultDamaged      = "damaged"       // its unkeyed hash does not hold
	FaultNotAuthentic = "not authentic" // its MAC does not hold under any root given to Open
	FaultOlder        = "older"         // an earlier root file of this store
	FaultOtherStore   = "other store"   // it is authentic, but belongs to another store
	// FaultAbandoned: it announces a replacement that Open could not complete, such as a
	// Rekey whose new root was not given.
	FaultAbandoned = "abandoned"
)

// rootFaults lists the root files whose state does not match the head, except for states
// that an interrupted replacement leaves.
func (s *Store) rootFaults() []RootFault {
	var out []RootFault
	for _, name := range []string{rootFile, rootCopy} {
		if fault := s.faultOf(name); fault != "" && !s.cutShort(name) {
			out = append(out, RootFault{name, fault})
		}
	}
	if fault := s.faultOfNext(); fault != "" {
		out = append(out, RootFault{rootNext, fault})
	}
	return out
}

// faultOf compares a root file with the one in force. It returns "" if they are equal.
func (s *Store) faultOf(name string) string {
	b, err := s.dir.readBounded(name, maxRootFile)
	if errors.Is(err, fs.ErrNotExist) {
		return FaultMissing
	}
	if err == nil && bytes.Equal(b, s.root.raw) {
		return ""
	}
	if err != nil {
		return FaultDamaged
	}
	if _, err := parseRoot(b); err != nil {
		return FaultDamaged
	}
	is := func(u unlockedRoot) bool { return bytes.Equal(u.file.raw, b) }
	switch i := slices.IndexFunc(s.unlocked, is); {
	case i < 0:
		return FaultNotAuthentic
	case !s.ours(s.unlocked[i]):
		return FaultOtherStore
	}
	return FaultOlder
}

// cutShort reports whether the replacement announced in the head explains the state of a
// file: it is missing during the rename, and has the bytes from before or after the
// replacement.
func (s *Store) cutShort(name string) bool {
	if s.head.nextRoot == [32]byte{} {
		return false
	}
	f, err := s.dir.readRootFile(name)
	return errors.Is(err, fs.ErrNotExist) || err == nil && (f.hash() == s.head.rootHash || f.hash() == s.head.nextRoot)
}

// faultOfNext returns the fault of root.next, or "" if its state is one of these:
//   - It is the file that the head announces, and is now in force.
//   - It is a replacement that was interrupted before the head announced it, or after
//     the head recorded it as current.
//   - It is absent, and the head announces none or the announced file is in force.
func (s *Store) faultOfNext() string {
	f, err := s.dir.readRootFile(rootNext)
	announced := s.head.nextRoot != [32]byte{}
	finished := announced && s.root.hash() == s.head.nextRoot
	switch {
	case errors.Is(err, fs.ErrNotExist) && (!announced || finished):
		return ""
	case errors.Is(err, fs.ErrNotExist):
		return FaultMissing
	case err != nil:
		return FaultDamaged
	case finished && f.hash() == s.head.nextRoot, !announced && f.hash() == s.head.rootHash:
		return ""
	case announced && f.hash() == s.head.nextRoot:
		return FaultAbandoned
	}
	fault := s.faultOf(rootNext)
	if fault == FaultOlder && f.Generation == s.root.Generation+1 {
		return ""
	}
	return fault
}

// recordHealing commits the record that Config.Healed makes of the faults.
func (s *Store) recordHealing(faults []RootFault) error {
	if len(faults) == 0 || s.cfg.Healed == nil {
		return nil
	}
	g := s.newGroup()
	defer g.wipe()
	if err := g.stage(func(tx *Tx) error { s.cfg.Healed(tx, faults); return nil }); err != nil {
		return err
	}
	return s.commitGroup(g, s.head)
}
