package keystore

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"

	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/rootfile"
)

// A FileFault describes a file that Open found in a wrong state and replaced or removed.
type FileFault struct {
	// File is the file's name in the directory: root, root.copy, root.next or journal.
	File string
	// Fault is one of the constants FaultMissing to FaultAbandoned.
	Fault string
}

// The faults of a file.
const (
	FaultMissing      = "missing"
	FaultDamaged      = "damaged"       // its hash or MAC does not hold
	FaultNotAuthentic = "not authentic" // its MAC does not hold under any root given to Open
	FaultOlder        = "older"         // an earlier file of this store
	FaultOtherStore   = "other store"   // it is authentic, but belongs to another store
	// FaultAbandoned: it announces a replacement that Open could not complete, such as a
	// Rekey whose new root was not given.
	FaultAbandoned = "abandoned"
)

// rootFaults lists the root files whose state does not match the head, except for states
// that an interrupted replacement leaves. It returns the error of a shortage that keeps a
// file from being read, because such a file is not known to be damaged.
func (s *Store) rootFaults() (out []FileFault, err error) {
	for _, name := range []string{rootfile.Name, rootfile.Copy, rootfile.Next} {
		b, err := s.dir.ReadBounded(name, rootfile.MaxSize)
		if fault.IsShortage(err) {
			return nil, fault.Environment("read", s.dir.Join(name), err)
		}
		found := ""
		if name == rootfile.Next {
			found = s.faultOfNext(b, err)
		} else if found = s.faultOf(b, err); s.cutShort(b, err) {
			found = ""
		}
		if found != "" {
			out = append(out, FileFault{name, found})
		}
	}
	return out, nil
}

// faultOf compares a root file, which was read with err, with the one in force. It
// returns "" if they are equal.
func (s *Store) faultOf(b []byte, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return FaultMissing
	case err != nil:
		return FaultDamaged
	case bytes.Equal(b, s.root.file.Bytes()):
		return ""
	}
	if _, err := rootfile.Parse(b); err != nil {
		return FaultDamaged
	}
	is := func(u unlockedRoot) bool { return bytes.Equal(u.root.file.Bytes(), b) }
	switch i := slices.IndexFunc(s.unlocked, is); {
	case i < 0:
		return FaultNotAuthentic
	case !s.ours(s.unlocked[i]):
		return FaultOtherStore
	}
	return FaultOlder
}

// cutShort reports whether the replacement announced in the head explains the state of a
// file, which was read with err: it is missing during the rename, and has the bytes from
// before or after the replacement.
func (s *Store) cutShort(b []byte, err error) bool {
	if s.head.NextRoot == [32]byte{} {
		return false
	}
	f, err := parsedRoot(b, err)
	return errors.Is(err, fs.ErrNotExist) || err == nil && (f.Hash() == s.head.RootHash || f.Hash() == s.head.NextRoot)
}

// faultOfNext returns the fault of root.next, which was read with err, or "" if its state
// is one of these:
//   - It is the file that the head announces, and is now in force.
//   - It is a replacement that was interrupted before the head announced it, or after
//     the head recorded it as current.
//   - It is absent, and the head announces none or the announced file is in force.
func (s *Store) faultOfNext(b []byte, err error) string {
	f, err := parsedRoot(b, err)
	announced := s.head.NextRoot != [32]byte{}
	finished := announced && s.root.file.Hash() == s.head.NextRoot
	switch {
	case errors.Is(err, fs.ErrNotExist) && (!announced || finished):
		return ""
	case errors.Is(err, fs.ErrNotExist):
		return FaultMissing
	case err != nil:
		return FaultDamaged
	case finished && f.Hash() == s.head.NextRoot, !announced && f.Hash() == s.head.RootHash:
		return ""
	case announced && f.Hash() == s.head.NextRoot:
		return FaultAbandoned
	}
	found := s.faultOf(b, nil)
	if found == FaultOlder && f.Generation == s.root.Generation+1 {
		return ""
	}
	return found
}

// recordHealing commits the record that Config.Healed makes of the faults.
func (s *Store) recordHealing(faults []FileFault) error {
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

// settleRoot rewrites a journal that could not be used, makes both copies of the root file equal
// to the file in force and completes an interrupted replacement. Faults that a crash does not
// explain are first committed by Config.Healed, in a batch of their own: if the file were
// repaired before the record is durable, a crash between the two would hide the fault.
func (s *Store) settleRoot() error {
	faults, err := s.rootFaults()
	if err != nil {
		return err
	}
	if s.journalFault != "" {
		faults = append(faults, FileFault{JournalFile, s.journalFault})
	}
	if err := s.recordHealing(faults); err != nil {
		return err
	}
	if err := s.settleJournal(); err != nil {
		return fault.Environment("write the journal in", s.dir.Path(), err)
	}
	return s.finishRoot(false)
}
