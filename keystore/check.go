package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"strongroom.example/keystore/internal/census"
	"strongroom.example/keystore/internal/journal"
	"strongroom.example/keystore/internal/record"
	"strongroom.example/keystore/internal/tip"
)

// Check is the full integrity check. It verifies the head, the tip, both copies of the
// root file, every record against the census, every leaf of the log with the tree
// recomputed from them, and the journal with the records. A journal that is damaged while
// all else is whole is written again; the error says so. No commit runs during the check. Errors:
//   - ErrCorrupt: a stored byte is not the one that was written.
//   - ErrReplaced: the directory or a file in it is not the one that the store has open.
//   - ErrClosed, ErrUnavailable: the store is closed, or failed closed.
func (s *Store) Check(ctx context.Context) error {
	return s.alone(ctx, func() error { return s.check(ctx) })
}

func (s *Store) check(ctx context.Context) error {
	if err := s.checkFiles(ctx); err != nil {
		return err
	}
	if err := s.takeCensus(ctx, census.New(0)); err != nil {
		return err
	}
	if err := errors.Join(s.checkTail(ctx), s.checkTree(ctx)); err != nil {
		return err
	}
	return s.checkJournal(ctx)
}

// errTree is returned if the tree over the stored records is not that of the head.
var errTree = fmt.Errorf("%w: the log's tree does not match the head", ErrCorrupt)

func (s *Store) checkTree(ctx context.Context) error {
	state, err := s.walkTree(ctx, s.first.clone(), s.head.Log.Size, nil)
	if err == nil && s.head.Log.Size > 0 && !sameTree(state, LogState(s.head.Log)) {
		err = errTree
	}
	return err
}

// checkFiles verifies the head, the tip and the root files. It runs in the committer.
func (s *Store) checkFiles(ctx context.Context) error {
	if err := s.resumeRoot(); err != nil {
		return err
	}
	if err := s.lookClosely(); err != nil {
		return err
	}
	now, err := s.getSealed(ctx, []byte(record.HeadKey))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if !bytes.Equal(now, s.sealedHead) {
		return fmt.Errorf("%w: the head is not the one last written", ErrCorrupt)
	}
	if err := s.copies().Check(s.root.file.Bytes()); err != nil {
		return err
	}
	t, seen, err := tip.Open(s.dir, s.named(tipFile), s.keys)
	if err != nil {
		return err
	}
	t.Close()
	if !seen.SameCommit(s.head.Tip()) {
		return fmt.Errorf("%w: the tip is not that of the last commit", ErrCorrupt)
	}
	return nil
}

// Scrub does the verification of Check while the store is in use: the files, every record
// against the census, the log with its tree, and the journal. It calls pace with the number
// of bytes that it has read, and stops with pace's error. Only the looks at the files and at
// the end of the journal, which are short, hold up commits. A journal that is damaged while
// all else is whole is written again; the error says so. Errors are those of Check.
func (s *Store) Scrub(ctx context.Context, pace func(ctx context.Context, bytes int) error) error {
	err := s.alone(ctx, func() error {
		if err := s.checkFiles(ctx); err != nil {
			return err
		}
		return s.checkTail(ctx)
	})
	if err != nil {
		return err
	}
	if err := s.scrubRecords(ctx, pace); err != nil {
		return err
	}
	for {
		err := s.scrubLog(ctx, pace)
		if err == nil {
			return s.scrubJournal(ctx, pace)
		}
		if !errors.Is(err, ErrCut) {
			return err
		}
	}
}

// scrubRecords compares every record with the census, and finds those that do not belong to
// the store.
func (s *Store) scrubRecords(ctx context.Context, pace func(context.Context, int) error) error {
	var added [][]byte
	err := s.walkRecords(ctx, func(_ string, p Pair, _ [32]byte) error {
		return pace(ctx, len(p.Value))
	}, func(p Pair) error {
		added = append(added, p.Key)
		return pace(ctx, len(p.Value))
	})
	if err != nil || len(added) == 0 {
		return err
	}
	return s.alone(ctx, func() error { return s.checkAdded(ctx, added) })
}

// checkAdded expects that each of the records is in the census by now, or gone. It runs in
// the committer.
func (s *Store) checkAdded(ctx context.Context, keys [][]byte) error {
	known, err := s.engineKeys()
	if err != nil {
		return err
	}
	for _, key := range keys {
		if _, ok := known[string(key)]; ok {
			continue
		}
		if _, err := s.getSealed(ctx, key); err == nil {
			return errAdded(key)
		} else if !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

func errAdded(key []byte) error {
	return fmt.Errorf("%w: the record under engine key %x does not belong to the store", ErrCorrupt, key)
}

// scrubLog verifies the log as it is at the beginning. ErrCut: records were removed
// meanwhile.
func (s *Store) scrubLog(ctx context.Context, pace func(ctx context.Context, bytes int) error) error {
	end := s.LogState()
	state, err := s.walkTree(ctx, s.LogFirst(), end.Size, pace)
	if err == nil && end.Size > 0 && state.Size == end.Size && !sameTree(state, end) {
		err = errTree
	}
	return err
}

// scrubTries is how often scrubJournal begins again because the journal was rewritten. After
// that it reads the journal without a pace, while no commit runs.
const scrubTries = 3

// scrubJournal compares the journal with the store.
func (s *Store) scrubJournal(ctx context.Context, pace func(context.Context, int) error) error {
	for range scrubTries {
		rewritten, err := s.scrubJournalFile(ctx, pace)
		if !rewritten || err != nil {
			return err
		}
	}
	return s.alone(ctx, func() error { return s.checkJournal(ctx) })
}

// scrubJournalFile is scrubJournal for the journal that there is at the beginning. It reports
// whether that was rewritten meanwhile.
func (s *Store) scrubJournalFile(ctx context.Context, pace func(context.Context, int) error) (rewritten bool, err error) {
	var x *journal.Reader
	var begun *journal.File
	var end uint64
	err = s.alone(ctx, func() (err error) {
		begun, end = s.journal, s.journal.End().Offset
		if x, err = s.readJournal(); err != nil {
			err = s.mendJournal(err)
		}
		return err
	})
	if err != nil {
		return false, err
	}
	defer x.Close()
	fault := x.ReadTo(ctx, end, s.withKeys, pace)
	if fault != nil && !errors.Is(fault, ErrCorrupt) {
		return false, fault
	}
	err = s.alone(ctx, func() error {
		if rewritten = begun != s.journal; rewritten {
			return nil
		}
		if fault == nil {
			fault = s.finishJournal(ctx, x)
		}
		return s.mendJournal(fault)
	})
	return rewritten, err
}
