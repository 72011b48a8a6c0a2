package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"strongroom.example/keystore/internal/head"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/record"
	"strongroom.example/keystore/internal/tip"
)

// checkHead reads the head and compares it with the tip. The head may be newer than the
// tip after a power cut, but the tip is never older than the newest durable tip known
// when the head was made.
func (s *Store) checkHead(ctx context.Context) (err error) {
	var seen tip.State
	if s.tip, seen, err = tip.Open(s.dir, s.named(tipFile), s.keys); err != nil {
		return err
	}
	if err := s.readHead(ctx, seen); err != nil {
		return err
	}
	now := s.head.Tip()
	if now.Generation < seen.Generation {
		return fmt.Errorf("%w: the store is at generation %d, its tip has seen %d", ErrRolledBack, now.Generation, seen.Generation)
	}
	if now.Generation == seen.Generation && !now.SameCommit(seen) {
		return fmt.Errorf("%w: the store and its tip tell different histories of generation %d", ErrRolledBack, now.Generation)
	}
	if seen.Generation < s.head.Synced {
		return fmt.Errorf("%w: the tip is at generation %d, the store knows of one at %d", ErrRolledBack, seen.Generation, s.head.Synced)
	}
	return nil
}

// readHead reads and opens the head. If the root file lacks the head's epoch and is not
// the file recorded in the tip, the root file is older than the store.
func (s *Store) readHead(ctx context.Context, seen tip.State) error {
	sealed, err := s.getSealed(ctx, []byte(record.HeadKey))
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: the head is missing; put back a copy of the whole directory", ErrCorrupt)
	}
	if err != nil {
		return err
	}
	id, _, plain, err := record.Open(s.keys, []byte(record.HeadKey), sealed)
	if err != nil && id.Epoch > s.keys.Current(keyring.Head) && seen.RootHash != s.root.file.Hash() {
		return fmt.Errorf("%w: the root file is older than the store; %s", ErrRolledBack, putBack)
	}
	if err != nil || id.Class != keyring.Head {
		return fmt.Errorf("%w: the head does not open", ErrCorrupt)
	}
	s.head, err = head.Parse(plain)
	if err == nil && s.head.Generation != id.Version {
		err = fmt.Errorf("%w: the head's generation", ErrCorrupt)
	}
	s.sealedHead = bytes.Clone(sealed)
	return err
}
