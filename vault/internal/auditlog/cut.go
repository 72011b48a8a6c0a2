package auditlog

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/audit"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/fault"
)

// StateAt returns the state of the log's tree at a size, for a cut or an export.
func StateAt(ctx context.Context, s *keystore.Store, size uint64) (keystore.LogState, error) {
	if first := s.LogKept().Size; size <= first {
		return keystore.LogState{}, fault.Invalid("the log begins with record %d; give a later one", first)
	}
	at, err := s.LogStateAt(ctx, size)
	if errors.Is(err, keystore.ErrNotFound) {
		err = fault.Invalid("the log has %d records; give at most that", s.LogState().Size)
	}
	return at, err
}

// CheckExported compares an export with the log. It runs again in the commit, because
// another cut may come between.
func (l *Log) CheckExported(s *keystore.Store, given audit.Report, at keystore.LogState) error {
	first := s.LogKept().Size
	switch {
	case at.Size <= first:
		return fault.Invalid("the log begins with record %d; give a later one", first)
	case given.Origin != l.Origin:
		return fault.Invalid("the export is of the log %.100q, and this is %s", given.Origin, l.Origin)
	case given.First > first:
		return fault.Invalid("the export begins with record %d, and the log with record %d; give an export from there", given.First, first)
	case given.Size != at.Size:
		return fault.Invalid("the export ends before record %d, and the cut is before record %d; they must be the same", given.Size, at.Size)
	case given.Root != at.Root:
		return fault.Invalid("the export is of other records than those of the log")
	}
	return nil
}

// SignCut signs the cut c at a state of the tree. It runs in a commit.
func (l *Log) SignCut(c audit.Cut, s *keystore.Store, at keystore.LogState) ([]byte, error) {
	c.Origin, c.First = l.Origin, s.LogKept().Size
	c.Size, c.Root, c.Frontier = at.Size, at.Root, at.Frontier
	return l.Key.Load().SignCut(c)
}

// UnbrokenTo reports an error if records are lost between the first that is kept and size.
func UnbrokenTo(s *keystore.Store, size uint64) error {
	kept := s.LogKept().Size
	for _, g := range s.LogGaps() {
		if g.Lost && kept < g.From && g.From < size {
			return fmt.Errorf("%w; cut the log before record %d first", g.Err(), g.From)
		}
	}
	return nil
}

// CheckCut compares the signed cut with first, the state at which the log began before the
// cut was read.
func (l *Log) CheckCut(s *keystore.Store, first keystore.LogState, text []byte) error {
	cut, err := audit.OpenCut(text, l.Key.Load().Verifier())
	if err == nil && (cut.Size != first.Size || cut.Root != first.Root) && s.LogFirst().Size == first.Size {
		err = fmt.Errorf("it is at record %d, and the log begins with record %d", cut.Size, first.Size)
	}
	if err != nil {
		return fmt.Errorf("%w: the signed cut of the log: %w", fault.ErrCorrupt, err)
	}
	return nil
}
