package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

// Check is the full integrity check. It verifies the head, the tip, both copies of the
// root file, every record against the census, and every leaf of the log with the tree
// recomputed from them. No commit runs during the check. Errors:
//   - ErrCorrupt: a stored byte is not what was written.
//   - ErrReplaced: the directory or a file in it is not the one that the store has open.
//   - ErrClosed, ErrUnavailable: the store is closed, or failed closed.
func (s *Store) Check(ctx context.Context) error {
	return s.alone(ctx, func() error { return s.check(ctx) })
}

func (s *Store) check(ctx context.Context) error {
	if err := s.resumeRoot(); err != nil {
		return err
	}
	if err := s.lookClosely(); err != nil {
		return err
	}
	now, err := s.engine.Get(ctx, []byte(keyHead))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if !bytes.Equal(now, s.sealed) {
		return fmt.Errorf("%w: the head is not the one last written", ErrCorrupt)
	}
	if err := s.checkRoots(); err != nil {
		return err
	}
	t, seen, err := openTip(s.dir, s.keys)
	if err != nil {
		return err
	}
	t.file.Close()
	if seen != s.head.tip() {
		return fmt.Errorf("%w: the tip is not that of the last commit", ErrCorrupt)
	}
	if err := s.takeCensus(ctx, newCensus()); err != nil {
		return err
	}
	return errors.Join(s.checkTail(ctx), s.checkTree(ctx))
}

func (s *Store) checkTree(ctx context.Context) error {
	want, state := s.head.log, LogState{}
	for state.Size < want.Size {
		leaves, err := s.readLeaves(ctx, state.Size, want.Size)
		if err != nil {
			return err
		}
		ext, err := s.cfg.Log.Extend(state, leaves)
		if err != nil {
			return err
		}
		if ext.State.Size <= state.Size {
			return fmt.Errorf("%w: the log does not grow with its records", ErrCorrupt)
		}
		state = ext.State
	}
	if want.Size > 0 && (state.Root != want.Root || !slices.Equal(state.Frontier, want.Frontier)) {
		return fmt.Errorf("%w: the log's tree does not match the head", ErrCorrupt)
	}
	return nil
}
