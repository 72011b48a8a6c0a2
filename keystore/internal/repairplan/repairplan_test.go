package repairplan_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"strongroom.example/internal/suite"
	"strongroom.example/keystore/internal/census"
	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/head"
	"strongroom.example/keystore/internal/journal"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/record"
	"strongroom.example/keystore/internal/recordtest"
	"strongroom.example/keystore/internal/repairplan"
	"strongroom.example/keystore/internal/tip"
)

// whole returns what an undamaged store at generation 5 has: two records and one of the log,
// which the journal does not have.
func whole(t *testing.T) repairplan.Sources {
	t.Helper()
	k := recordtest.Keys(t, suite.AES)
	s := repairplan.Sources{
		Keys:      k,
		Journal:   &journal.State{Whole: true, Records: map[string][]byte{}, Deleted: map[string]uint64{}},
		Engine:    map[string]repairplan.Entry{},
		Journaled: func(path string) bool { return !strings.HasPrefix(path, "log/") },
	}
	c := census.New(0)
	for path, version := range map[string]uint64{"a": 2, "b": 5, "log/node": 3} {
		key, b := recordtest.Sealed(t, k, path, version)
		var part census.Part
		if err := part.Take(k, key, b); err != nil {
			t.Fatal(err)
		}
		c.Add(part)
		s.Engine[string(key)] = repairplan.Entry{Value: b, At: version}
		if s.Journaled(path) {
			s.Journal.Records[string(key)] = b
		}
	}
	s.Journal.End = journal.End{Generation: 5, Offset: 1000}
	s.EngineHead = head.Head{
		Generation: 5, Log: head.LogState{Size: 7}, Digest: c.Digest, Count: c.Count(),
		RootHash: [32]byte{1}, Epoch: 1, Journal: s.Journal.End,
	}
	s.JournalHead = s.EngineHead
	s.Tip = s.EngineHead.Tip()
	return s
}

// TestChoose damages a store in several ways.
func TestChoose(t *testing.T) {
	for name, c := range map[string]struct {
		damage      func(s *repairplan.Sources, at func(path string) string)
		fromJournal bool
		lost        string // a record of the log that the engine alone had
		err         error
	}{
		"the engine is whole":    {func(*repairplan.Sources, func(string) string) {}, true, "", nil},
		"the engine is lost":     {func(s *repairplan.Sources, _ func(string) string) { s.Engine, s.EngineHead = nil, head.Head{} }, true, "log/node", nil},
		"the journal is damaged": {func(s *repairplan.Sources, _ func(string) string) { s.Journal.Whole = false }, false, "", nil},
		"both are damaged in other places": {func(s *repairplan.Sources, at func(string) string) {
			s.Journal.Whole = false
			delete(s.Journal.Records, at("a"))
			delete(s.Engine, at("b"))
		}, false, "", nil},
		"a deleted record is still in the engine": {func(s *repairplan.Sources, at func(string) string) {
			s.Journal.Whole = false
			key := record.Key(s.Keys, "gone")
			b, _ := record.Seal(nil, s.Keys, record.Plain{Class: keyring.Meta, Version: 3, Key: key, Path: "gone"})
			s.Engine[string(key)] = repairplan.Entry{Value: b, At: 3}
			s.Journal.Deleted[string(key)] = 4
		}, false, "", nil},
		"both lack a record": {func(s *repairplan.Sources, at func(string) string) {
			s.Journal.Whole = false
			delete(s.Journal.Records, at("a"))
			delete(s.Engine, at("a"))
		}, false, "", fault.ErrCorrupt},
		"the engine is older than a damaged journal": {func(s *repairplan.Sources, _ func(string) string) {
			s.Journal.Whole = false
			s.EngineHead.Generation = 4
		}, false, "", fault.ErrRolledBack},
		"the journal is older than the tip knows": {func(s *repairplan.Sources, _ func(string) string) {
			s.Tip.Journal.Generation, s.Tip.Generation = 6, 6
		}, false, "", fault.ErrRolledBack},
		"the tip has another root file": {func(s *repairplan.Sources, _ func(string) string) {
			s.Tip.Generation, s.Tip.RootHash = 6, [32]byte{2}
		}, false, "", fault.ErrRolledBack},
		"there is no head": {func(s *repairplan.Sources, _ func(string) string) {
			s.EngineHead, s.JournalHead = head.Head{}, head.Head{}
		}, false, "", fault.ErrCorrupt},
	} {
		s := whole(t)
		want := maps.Clone(s.Engine)
		at := func(path string) string { return string(record.Key(s.Keys, path)) }
		c.damage(&s, at)
		p, err := s.Choose()
		if !errors.Is(err, c.err) || err != nil && c.err == nil {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
		if err != nil || c.err != nil {
			continue
		}
		delete(want, at(c.lost))
		var keys []string
		for _, r := range p.Records {
			keys = append(keys, string(r.Key))
		}
		if p.FromJournal != c.fromJournal || !slices.Equal(keys, slices.Sorted(maps.Keys(want))) {
			t.Errorf("%s: from the journal %v with %d records, want %v with %d", name, p.FromJournal, len(keys), c.fromJournal, len(want))
		}
		if p.Head.Generation != 5 || p.Head.Log.Size != 7 || p.Head.RootHash != [32]byte{1} || p.Head.Epoch != 1 {
			t.Errorf("%s: the head is %+v, want that of generation 5", name, p.Head)
		}
	}
}

// TestLogGoesOn takes the state of the log from the tip if that is newer and has the frontier.
func TestLogGoesOn(t *testing.T) {
	for _, c := range []struct {
		format2 bool
		size    uint64
	}{{true, 9}, {false, 7}} {
		s := whole(t)
		s.Tip = tip.State{Generation: 8, Size: 9, LogRoot: [32]byte{9}, RootHash: [32]byte{1}}
		if c.format2 {
			s.Tip.Journal, s.Tip.Frontier = s.Journal.End, [][32]byte{{9}}
		}
		p, err := s.Choose()
		if err != nil || p.Head.Generation != 8 || p.Head.Log.Size != c.size || len(p.Head.Log.Frontier) != len(s.Tip.Frontier) {
			t.Errorf("with the frontier in the tip %v: %v, head %+v, want size %d", c.format2, err, p.Head, c.size)
		}
	}
}
