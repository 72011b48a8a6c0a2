// Package repairplan decides, from what is left of a damaged store, which records and which state
// the rebuilt one begins with.
package repairplan

import (
	"bytes"
	"fmt"
	"slices"

	"strongroom.example/keystore/internal/census"
	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/head"
	"strongroom.example/keystore/internal/journal"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/record"
	"strongroom.example/keystore/internal/tip"
)

// An Entry is the newest entry of a key in the engine's files. Its Value is nil if the entry says
// that the key was deleted. At orders the entries of one key.
type Entry struct {
	Value []byte
	At    uint64
}

// Sources are what is left of a store.
type Sources struct {
	Keys        *keyring.Keyring
	Tip         tip.State // generation 0 if it cannot be read
	Journal     *journal.State
	JournalHead head.Head        // of the newest entry whose head opens; generation 0 if there is none
	Engine      map[string]Entry // the mutable records in the engine's files, by engine key
	EngineHead  head.Head        // the newest in the engine's files; generation 0 if there is none
	// Journaled reports whether the record at a path is in the journal.
	Journaled func(path string) bool
}

// A Plan is what the rebuilt store begins with.
type Plan struct {
	FromJournal bool           // the records come from the journal, otherwise from the engine's files
	Records     []journal.Pair // the mutable records, sorted by key
	Head        head.Head      // the newest state that is known
}

// Control returns the head of the newest change of the root file or of a record that the journal
// has. It returns ErrCorrupt if there is none.
func (s *Sources) Control() (head.Head, error) {
	newest := s.JournalHead
	if s.EngineHead.Generation > newest.Generation {
		newest = s.EngineHead
	}
	if newest.Generation == 0 {
		return newest, fmt.Errorf("%w: neither the journal nor the engine has a head that opens; restore a backup", fault.ErrCorrupt)
	}
	return newest, nil
}

// Choose makes the plan. Errors:
//   - ErrRolledBack: what is left is older than the newest state that is known of.
//   - ErrCorrupt: the records are not complete.
func (s *Sources) Choose() (p Plan, err error) {
	control, err := s.Control()
	if err != nil {
		return p, err
	}
	if s.Tip.Generation > control.Generation && s.Tip.RootHash != control.RootHash {
		return p, fmt.Errorf("%w: the tip knows of a later change of the root file; restore a backup", fault.ErrRolledBack)
	}
	if err := s.chooseRecords(&p); err != nil {
		return p, err
	}
	slices.SortFunc(p.Records, func(a, b journal.Pair) int { return bytes.Compare(a.Key, b.Key) })
	p.Head = s.chooseLog(control)
	return p, nil
}

// chooseRecords decides where the mutable records come from. The journal is used if it
// has its newest entry, as far as tip and heads know of one. Otherwise the records of
// engine and journal together must match the census of the newest head.
func (s *Sources) chooseRecords(p *Plan) error {
	need := max(s.Tip.Journal.Generation, s.EngineHead.Journal.Generation)
	end := s.Journal.End.Generation
	if s.Journal.Whole && s.JournalHead.Generation == end && end > 0 && end >= need {
		p.FromJournal = true
		for key, sealed := range s.Journal.Records {
			p.Records = append(p.Records, journal.Pair{Key: []byte(key), Value: sealed})
		}
		p.Records = append(p.Records, s.logRecords()...)
		return nil
	}
	if s.EngineHead.Generation < need || s.EngineHead.Generation < end {
		return fmt.Errorf("%w: the journal is damaged, missing or older than the store, and the engine does not have the newest state either; restore a backup", fault.ErrRolledBack)
	}
	for _, merged := range []bool{false, true} {
		if all, ok := s.pool(merged); ok {
			p.Records = all
			return nil
		}
	}
	return fmt.Errorf("%w: journal and engine are both damaged, and what is left of them does not make up all records; restore a backup", fault.ErrCorrupt)
}

// logRecords returns the records of the log that the engine still has, which the journal has not.
func (s *Sources) logRecords() (all []journal.Pair) {
	for key, e := range s.Engine {
		_, path, _, err := record.Open(s.Keys, []byte(key), e.Value)
		if err == nil && !s.Journaled(path) {
			all = append(all, journal.Pair{Key: []byte(key), Value: e.Value})
		}
	}
	return all
}

// pool takes the newest of each record from the engine's files and, if merged is set, from
// the journal, and reports whether the result matches the census of the newest head.
func (s *Sources) pool(merged bool) (all []journal.Pair, ok bool) {
	best := map[string][]byte{}
	for key, e := range s.Engine {
		if e.Value != nil {
			best[key] = e.Value
		}
	}
	if merged {
		for key, sealed := range s.Journal.Records {
			if had, ok := best[key]; !ok || s.newer(sealed, had) {
				best[key] = sealed
			}
		}
		for key, at := range s.Journal.Deleted {
			if id, err := record.ParseID(s.Keys.Suite(), best[key]); err == nil && id.Version < at {
				delete(best, key)
			}
		}
	}
	c := census.New(0)
	for key, sealed := range best {
		var part census.Part
		if part.Take(s.Keys, []byte(key), sealed) != nil {
			return nil, false
		}
		c.Add(part)
		all = append(all, journal.Pair{Key: []byte(key), Value: sealed})
	}
	return all, c.Count() == s.EngineHead.Count && c.Digest == s.EngineHead.Digest
}

// newer reports whether the sealed record a is newer than b.
func (s *Sources) newer(a, b []byte) bool {
	one, err := record.ParseID(s.Keys.Suite(), a)
	two, errTwo := record.ParseID(s.Keys.Suite(), b)
	return err == nil && (errTwo != nil || one.Version > two.Version || one.Version == two.Version && one.Epoch > two.Epoch)
}

// chooseLog returns the state to go on from: the newest state of the log that is known with
// its frontier, and the newest generation.
func (s *Sources) chooseLog(control head.Head) head.Head {
	at, newest := s.EngineHead.Log, s.EngineHead.Generation
	if s.JournalHead.Generation > newest {
		at, newest = s.JournalHead.Log, s.JournalHead.Generation
	}
	if s.Tip.Generation > newest {
		newest = s.Tip.Generation
		if s.Tip.Journal.Offset > 0 { // of format 2, with the frontier
			at = head.LogState{Size: s.Tip.Size, Root: s.Tip.LogRoot, Frontier: s.Tip.Frontier, Checkpoint: at.Checkpoint}
		}
	}
	return head.Head{
		Generation: max(newest, s.Journal.End.Generation), Log: at,
		RootHash: control.RootHash, NextRoot: control.NextRoot, Epoch: control.Epoch,
	}
}
