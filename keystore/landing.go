package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// pendingEntry is the change that a batch in flight makes to a census entry.
type pendingEntry struct {
	entry
	deleted bool
}

// land updates the store's state in memory after a batch has become durable.
func (s *Store) land(next head, sealed []byte, pending map[string]pendingEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path, p := range pending {
		if p.deleted {
			delete(s.census.entries, path)
		} else {
			s.census.entries[path] = p.entry
		}
	}
	s.census.digest, s.pending = next.digest, nil
	s.head, s.sealed = next, sealed
}

// writeTip writes the tip of the current head, and syncs it at once if sync is set. A
// shortage makes it try once more; the second try writes the whole slot again, so that
// its sync does not rely on what the first one left. The batch is already durable, so
// any other error, and the second, makes the store fail closed.
func (s *Store) writeTip(sync bool) error {
	err := s.tryTip(sync)
	if shortage(err) {
		err = s.tryTip(sync)
	}
	if err != nil {
		return s.fail(err)
	}
	return nil
}

func (s *Store) tryTip(sync bool) error {
	err := s.step("tip")
	if err == nil {
		err = s.tip.write(s.keys, s.head.tip())
	}
	if err == nil && sync {
		err = s.tip.sync()
	}
	return err
}

// settle decides on the store's state after a failed commit. If the head in the engine is
// unchanged, the batch was not applied and the store continues. Otherwise, and if the
// engine has become unavailable, the store fails closed, because the batch may be there
// after the next Open.
func (s *Store) settle(cause error) error {
	now, err := s.engine.Get(context.Background(), []byte(keyHead))
	unchanged := err == nil && bytes.Equal(now, s.sealed) || errors.Is(err, ErrNotFound) && s.sealed == nil
	if !unchanged || errors.Is(cause, ErrUnavailable) {
		return s.fail(cause)
	}
	s.mu.Lock()
	s.pending = nil
	s.mu.Unlock()
	return fmt.Errorf("keystore: commit: %w", cause)
}

// Failed returns ErrUnavailable with its cause if the store has failed closed, otherwise
// nil.
func (s *Store) Failed() error {
	if p := s.failed.Load(); p != nil {
		return *p
	}
	return nil
}

func (s *Store) fail(cause error) error {
	err := fmt.Errorf("%w: %w", ErrUnavailable, cause)
	s.failed.CompareAndSwap(nil, &err)
	return err
}
