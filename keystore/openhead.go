package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// checkHead reads the head and compares it with the tip. The head may be newer than the
// tip after a power cut, but the tip is never older than the newest durable tip known
// when the head was made.
func (s *Store) checkHead(ctx context.Context) (err error) {
	var seen tipState
	if s.tip, seen, err = openTip(s.dir, s.keys); err != nil {
		return err
	}
	if err := s.readHead(ctx, seen); err != nil {
		return err
	}
	now := s.head.tip()
	if now.generation < seen.generation {
		return fmt.Errorf("%w: the store is at generation %d, its tip has seen %d", ErrRolledBack, now.generation, seen.generation)
	}
	if now.generation == seen.generation && now != seen {
		return fmt.Errorf("%w: the store and its tip tell different histories of generation %d", ErrRolledBack, now.generation)
	}
	if seen.generation < s.head.synced {
		return fmt.Errorf("%w: the tip is at generation %d, the store knows of one at %d", ErrRolledBack, seen.generation, s.head.synced)
	}
	return nil
}

// readHead reads and opens the head. If the root file lacks the head's epoch and is not
// the file recorded in the tip, the root file is older than the store.
func (s *Store) readHead(ctx context.Context, seen tipState) error {
	sealed, err := s.engine.Get(ctx, []byte(keyHead))
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: the head is missing; put back a copy of the whole directory", ErrCorrupt)
	}
	if err != nil {
		return err
	}
	id, _, plain, err := s.sealer.open(s.keys, []byte(keyHead), sealed)
	if err != nil && id.epoch > s.keys.current(classHead) && seen.rootHash != s.root.hash() {
		return fmt.Errorf("%w: the root file is older than the store; %s", ErrRolledBack, putBack)
	}
	if err != nil || id.class != classHead {
		return fmt.Errorf("%w: the head does not open", ErrCorrupt)
	}
	s.head, err = parseHead(plain)
	if err == nil && s.head.generation != id.version {
		err = fmt.Errorf("%w: the head's generation", ErrCorrupt)
	}
	s.sealed = bytes.Clone(sealed)
	return err
}
