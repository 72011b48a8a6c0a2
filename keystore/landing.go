package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// pendingEntry is what a batch under way makes of a census entry.
type pendingEntry struct {
	entry
	deleted bool
}

// land makes a durable batch the store's state.
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

// writeTip writes the tip of the head, and syncs it at once if sync is set. The
// batch is durable by then, so a fault fails closed.
func (s *Store) writeTip(sync bool) error {
	err := s.step("tip")
	if err == nil {
		err = s.tip.write(s.keys, s.head.tip())
	}
	if err == nil && sync {
		err = s.tip.sync()
	}
	if err != nil {
		return s.fail(err)
	}
	return nil
}

// settle decides after a failed commit: if the head is unchanged nothing happened,
// otherwise the store fails closed. So it does if the engine is not available any
// more: then the batch may be there after the next Open.
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

// Failed is ErrUnavailable with its cause once the store failed closed.
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
