package keystore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"strongroom.example/keystore/internal/census"
	"strongroom.example/keystore/internal/head"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/record"
)

// build makes the rebuilt engine, tip and journal under their second names.
func (r *repair) build(ctx context.Context, report *RepairReport, record func(*Tx, RepairReport)) error {
	s := r.store
	if err := s.ready(true); err != nil {
		return err
	}
	for _, name := range []string{engineDir, tipFile, JournalFile} {
		if err := s.dir.RemoveAll(name + buildSuffix); err != nil {
			return err
		}
	}
	if err := s.step("build"); err != nil {
		return err
	}
	if err := s.openEmpty(ctx); err != nil {
		return err
	}
	if err := r.load(ctx); err != nil {
		return err
	}
	if err := s.countRecords(ctx, s.census); err != nil {
		return err
	}
	s.head = r.chosen.Head
	s.head.Digest, s.head.Count = s.census.Digest, s.census.Count()
	if err := errors.Join(s.loadCut(ctx), s.loadLost(ctx)); err != nil {
		return err
	}
	lost, err := r.loadAudit(ctx)
	if err != nil {
		return err
	}
	report.FromJournal = r.chosen.FromJournal
	report.LostFrom, report.LostTo, report.LogRoot = lost.From, lost.After.Size, lost.After.Root
	if lost.From == lost.After.Size {
		report.LogRoot = r.chosen.Head.Log.Root
	}
	err = s.firstCommit(ctx, func(*head.Head) {}, func(tx *Tx) error {
		if lost.From < lost.After.Size {
			tx.Put(lostPath, encodeLost(append(slices.Clone(s.lost), lost)))
		}
		if record != nil {
			record(tx, *report)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.step("built")
}

// load puts the mutable records into the new engine.
func (r *repair) load(ctx context.Context) error {
	in := restorer{store: r.store}
	for _, p := range r.chosen.Records {
		if err := in.put(ctx, Pair(p)); err != nil {
			return err
		}
	}
	r.chosen.Records = nil
	return in.flush(ctx)
}

// loadAudit puts the audit segments into the new engine that the old one still has, and
// returns the range of records that are lost: from the first that is missing or does not
// fit the tree, to the end of the log. The segments in that range are removed again.
func (r *repair) loadAudit(ctx context.Context) (lost LogGap, err error) {
	s, end := r.store, LogState(r.chosen.Head.Log)
	in := restorer{store: s}
	var cut bool // the segment that the cut made shorter was read
	err = r.salvage(ctx, nil, func(e Salvaged) error {
		if len(e.Key) != 9 || e.Key[0] != record.LogPrefix || e.Value == nil {
			return ctx.Err()
		}
		last := binary.BigEndian.Uint64(e.Key[1:])
		id, _, _, err := record.Open(s.keys, e.Key, e.Value)
		if err != nil || id.Class != keyring.Log || id.Version > last || last >= end.Size || last < s.first.Size {
			return ctx.Err()
		}
		if id.Version < s.first.Size && cut {
			return ctx.Err() // as it was before the cut
		}
		cut = cut || id.Version == s.first.Size
		return in.put(ctx, Pair{e.Key, e.Value})
	})
	if err = errors.Join(err, in.flush(ctx)); err != nil {
		return lost, err
	}
	state, err := s.walkTree(ctx, s.first.clone(), end.Size, nil)
	if err == nil && (end.Size == 0 || sameTree(state, end)) {
		return LogGap{From: end.Size, After: end}, nil
	}
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return lost, err
	}
	lost = LogGap{From: state.Size, After: end, Lost: true}
	if err == nil { // all is there, and yet the tree is another one
		lost.From = s.LogUnbroken().Size
	}
	return lost, r.removeFrom(ctx, lost.From)
}

// removeFrom removes the audit segments that have record n or later ones.
func (r *repair) removeFrom(ctx context.Context, n uint64) error {
	s := r.store
	for {
		pairs, err := s.scanSealed(ctx, []byte{record.LogPrefix}, before(n), 256)
		if err != nil || len(pairs) == 0 {
			return err
		}
		b := Batch{}
		for _, p := range pairs {
			b.Delete = append(b.Delete, p.Key)
		}
		if err := s.engine.Commit(ctx, b); err != nil {
			return s.engineError(err)
		}
	}
}

// readBack closes the rebuilt store, opens its files again and checks all of it, without
// touching the root files.
func (r *repair) readBack(ctx context.Context) error {
	s := r.store
	want := s.head
	if err := s.endEngine(); err != nil {
		return err
	}
	if err := s.step("read back"); err != nil {
		return err
	}
	s.census, s.sealedHead = census.New(0), nil
	if err := s.openEngine(); err != nil {
		return err
	}
	if err := s.checkHead(ctx); err != nil {
		return err
	}
	if s.head.Generation != want.Generation || s.head.Digest != want.Digest {
		return fmt.Errorf("%w: the rebuilt store is not what was written", ErrCorrupt)
	}
	if err := s.takeCensus(ctx, s.census); err != nil {
		return err
	}
	if err := errors.Join(s.loadCut(ctx), s.loadLost(ctx)); err != nil {
		return err
	}
	if err := errors.Join(s.checkTail(ctx), s.checkTree(ctx), s.openJournal()); err != nil {
		return err
	}
	if s.journal == nil {
		return fmt.Errorf("%w: the rebuilt journal is not what was written", ErrCorrupt)
	}
	if err := s.checkJournal(ctx); err != nil {
		return err
	}
	return s.endEngine()
}

// endEngine closes engine, tip and journal, durably.
func (s *Store) endEngine() error {
	errs := []error{s.tip.Sync(), s.tip.Close(), s.journal.Close()}
	s.tip, s.journal = nil, nil
	err := s.closeEngine()
	if err == nil {
		s.engine = nil
		errs = append(errs, s.inner.RestrictAll(), s.inner.Close())
		s.inner = nil
	}
	return errors.Join(append(errs, err, s.dir.Sync())...)
}

// putInPlace exchanges the damaged engine, tip and journal for the rebuilt ones. The
// rename of the engine's directory to its second name makes the exchange certain.
func (s *Store) putInPlace(report *RepairReport) error {
	if err := s.step(repairedDir); err != nil {
		return err
	}
	if err := s.dir.Rename(engineDir+buildSuffix, repairedDir); err != nil {
		return err
	}
	aside, err := s.completeRepair()
	if report != nil {
		report.SetAside = aside
	}
	return err
}

// completeRepair puts a rebuilt engine that is complete in place, with its tip and
// journal, and sets the damaged engine aside. Open calls it too. It does nothing if there
// is none.
func (s *Store) completeRepair() (aside string, err error) {
	if !s.dir.Exists(repairedDir) {
		return "", nil
	}
	if err := s.dir.Sync(); err != nil {
		return "", err
	}
	if s.dir.Exists(engineDir) {
		if err := s.step("set aside"); err != nil {
			return "", err
		}
		if aside, err = s.dir.SetAsideAs(engineDir); err != nil {
			return "", err
		}
	}
	for _, name := range []string{JournalFile, tipFile} {
		if err := s.step("place " + name); err != nil {
			return aside, err
		}
		if err := s.dir.RenameIfThere(name+buildSuffix, name); err != nil {
			return aside, err
		}
	}
	if err := s.dir.Sync(); err != nil {
		return aside, err
	}
	if err := s.step("place " + engineDir); err != nil {
		return aside, err
	}
	if err := s.dir.Rename(repairedDir, engineDir); err != nil {
		return aside, err
	}
	return aside, s.dir.Sync()
}
