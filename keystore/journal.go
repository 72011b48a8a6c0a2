package keystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/head"
	"strongroom.example/keystore/internal/journal"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/record"
)

// JournalFile is the name, in the store's directory, of the journal: every mutable record that
// is not the audit log's, sealed as in the engine. Repair rebuilds the engine from it. A batch
// that changes one of these records appends an entry, which is durable before the callers are
// released.
const JournalFile = "journal"

// keyJournal takes the place of an engine key where the head in an entry is sealed.
const keyJournal = "j"

// logPrefix begins the paths of the records that belong to the audit log: inner nodes and
// checkpoints. They are not in the journal, because they can be computed from the log; the
// records that say which audit records are missing cannot.
const logPrefix = "log/"

// journaled reports whether the record at path is in the journal.
func journaled(path string) bool {
	return !strings.HasPrefix(path, logPrefix) || path == cutPath || path == lostPath
}

// prepareJournal returns the end that the journal has once the entry of the batch with the
// head next is in it. It makes room for the entry, so that little can fail after the engine's
// commit; an error changes nothing.
func (s *Store) prepareJournal(next head.Head) (end journal.End, err error) {
	e := s.journalEntry
	if e.Head, err = s.sealJournalHead(next); err != nil {
		return end, err
	}
	e.Generation = next.Generation
	if end, err = s.journal.Prepare(s.keys, e); err != nil {
		return end, fault.Environment("write the journal in", s.dir.Path(), err)
	}
	return end, nil
}

func (s *Store) sealJournalHead(h head.Head) ([]byte, error) {
	return record.Seal(nil, s.keys, record.Plain{Class: keyring.Head, Version: h.Generation, Key: []byte(keyJournal), Value: h.Append(nil)})
}

// journalCommitted writes the entry of a batch that is durable in the engine, up to the
// end that the head names. If that fails, the whole journal is written again; only if
// that fails too does the store fail closed, because the change would be lost with the
// engine.
func (s *Store) journalCommitted() error {
	err := s.step("journal")
	if err == nil {
		err = s.journal.Append(s.head.Journal)
	}
	if err != nil {
		if again := s.rewriteJournal(); again != nil {
			return s.fail(fault.Environment("write the journal in", s.dir.Path(), errors.Join(err, again)))
		}
		return nil
	}
	if s.journal.Due() {
		if err := s.rewriteJournal(); err != nil {
			s.journal.Adopt(s.journal.End()) // the file is whole; the next attempt is later
		}
	}
	return s.Failed()
}

// rewriteJournal replaces the journal by a snapshot of the engine's records. It compares
// the hash of each record with the census, and keeps the old journal if one differs.
func (s *Store) rewriteJournal() (err error) {
	name := s.named(JournalFile)
	if err := s.step(name + " new"); err != nil {
		return err
	}
	if err := s.dir.Remove(name + ".new"); err != nil {
		return err
	}
	j, err := journal.Create(s.dir, name+".new", s.keys)
	if err != nil {
		return err
	}
	err = s.writeSnapshot(j)
	if err == nil {
		err = j.Sync()
	}
	if err == nil {
		err = s.step(name)
	}
	if err == nil {
		err = s.dir.Rename(name+".new", name)
	}
	if err != nil {
		return errors.Join(err, j.Close())
	}
	_ = s.journal.Close() // nothing in it is needed
	j.Adopt(j.End())
	s.journal = j
	s.mu.Lock()
	s.head.Journal = j.End()
	s.mu.Unlock()
	if s.dir.Sync() != nil { // a fault may be over at the second try
		if err := s.dir.Sync(); err != nil {
			return s.fail(fault.Environment("sync", s.dir.Path(), err))
		}
	}
	return nil
}

// writeSnapshot writes the records as the first entries of a journal.
func (s *Store) writeSnapshot(j *journal.File) error {
	sealed, err := s.sealJournalHead(s.head)
	if err != nil {
		return err
	}
	part, size := journal.Entry{Generation: s.head.Generation, Head: sealed}, 0
	flush := func() error {
		err := j.Write(s.keys, part)
		part.Put, size = part.Put[:0], 0
		return err
	}
	err = s.walkRecords(context.Background(), func(path string, p Pair, _ [32]byte) error {
		if !journaled(path) {
			return nil
		}
		part.Put, size = append(part.Put, journal.Pair(p)), size+len(p.Key)+len(p.Value)
		if size < journal.SnapshotPart {
			return nil
		}
		return flush()
	}, func(p Pair) error {
		return errAdded(p.Key)
	})
	if err != nil {
		return err
	}
	return flush()
}

// openJournal opens the journal, and checks that its end is the one that the head names.
// If it is not, it compares all of it with the census. A journal that cannot be used is
// left closed, and the fault is kept for settleRoot, which rewrites the journal.
// ErrRolledBack if the journal is newer than the head: an entry is written after its batch
// is durable.
func (s *Store) openJournal() error {
	j, err := journal.Open(s.dir, s.named(JournalFile), s.head.Journal)
	if errors.Is(err, fs.ErrNotExist) {
		if s.head.Journal.Offset != 0 {
			s.journalFault = FaultMissing
		}
		return nil
	}
	if err != nil {
		return err
	}
	ok, err := j.HasEnd()
	if err != nil {
		return errors.Join(err, j.Close())
	}
	if !ok {
		return s.adoptJournal(j)
	}
	more, err := j.HasMore(s.keys)
	if more {
		err = errJournalNewer
	}
	if err != nil {
		return errors.Join(err, j.Close())
	}
	s.journal = j
	return nil
}

var errJournalNewer = fmt.Errorf("%w: the journal has changes that the store lacks", ErrRolledBack)

// adoptJournal takes a journal whose end the head does not name if its records are those
// of the store, as after a kill just after it was rewritten.
func (s *Store) adoptJournal(j *journal.File) error {
	b, err := s.dir.Read(s.named(JournalFile))
	if err != nil {
		return errors.Join(err, j.Close())
	}
	found := scanJournal(s.keys, b)
	switch {
	case found.End.Generation > s.head.Generation:
		return errors.Join(errJournalNewer, j.Close())
	case found.Whole && s.journalHas(found.hashes(s.keys)) == nil:
		j.Adopt(found.End)
		s.journal, s.head.Journal = j, j.End()
		return nil
	case !found.Whole:
		s.journalFault = FaultDamaged
	case found.End.Generation < s.head.Journal.Generation && s.head.Journal.Generation != s.head.Generation:
		s.journalFault = FaultOlder // no crash leaves it: another batch was committed since
	}
	return j.Close()
}

// settleJournal writes the journal again if it could not be used.
func (s *Store) settleJournal() error {
	if s.journal != nil {
		return nil
	}
	return s.rewriteJournal()
}

// A journalState is what the entries of a journal amount to.
type journalState struct {
	*journal.State
	head head.Head // of the newest entry whose head opens; its generation is 0 if there is none
}

// scanJournal reads a journal from b, and passes over a single damaged entry.
func scanJournal(k *keyring.Keyring, b []byte) *journalState {
	var s journalState
	s.State = journal.Scan(k, b, func(sealed []byte) {
		id, _, plain, err := record.Open(k, []byte(keyJournal), sealed)
		if err != nil || id.Class != keyring.Head {
			return
		}
		if h, err := head.Parse(plain); err == nil {
			s.head = h
		}
	})
	return &s
}

// hashes returns the hashes of the sealed records, by engine key.
func (s *journalState) hashes(k *keyring.Keyring) map[string][32]byte {
	hashes := make(map[string][32]byte, len(s.Records))
	for key, sealed := range s.Records {
		hashes[key] = k.Suite().Sum(sealed)
	}
	return hashes
}

// journalHas compares the hashes of the records in the journal, by engine key, with the census.
func (s *Store) journalHas(hashes map[string][32]byte) error {
	n := 0
	for path, e := range s.census.Entries {
		if !journaled(path) {
			continue
		}
		n++
		hash, ok := hashes[string(record.Key(s.keys, path))]
		if !ok {
			return fmt.Errorf("%w: the journal lacks record %q", ErrCorrupt, path)
		}
		if hash != e.Hash {
			return fmt.Errorf("%w: the journal has another record %q than the one last written", ErrCorrupt, path)
		}
	}
	if n != len(hashes) {
		return fmt.Errorf("%w: the journal has %d records that were deleted", ErrCorrupt, len(hashes)-n)
	}
	return nil
}

// checkJournal compares the whole journal with the store. It writes a bad one again, which
// is possible because Check has verified the engine before. It runs in the committer.
func (s *Store) checkJournal(ctx context.Context) error {
	x, err := s.readJournal()
	if err == nil {
		defer x.Close()
		err = s.finishJournal(ctx, x)
	}
	return s.mendJournal(err)
}

// readJournal opens the journal for a check. It runs in the committer.
func (s *Store) readJournal() (*journal.Reader, error) {
	return journal.NewReader(s.dir, s.named(JournalFile), s.keys)
}

// finishJournal reads the rest of the journal and compares it with the head and the census. It
// runs in the committer.
func (s *Store) finishJournal(ctx context.Context, x *journal.Reader) error {
	if err := x.Finish(ctx, s.head.Journal, s.withKeys); err != nil {
		return err
	}
	return s.journalHas(x.Hashes)
}

// mendJournal writes the journal again if the fault is a damage. It returns the fault. It
// runs in the committer.
func (s *Store) mendJournal(fault error) error {
	if !errors.Is(fault, ErrCorrupt) {
		return fault
	}
	if err := s.rewriteJournal(); err != nil {
		return errors.Join(fault, err)
	}
	return fmt.Errorf("%w; it was written again", fault)
}
