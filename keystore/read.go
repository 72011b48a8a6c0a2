package keystore

import (
	"context"
	"errors"
	"fmt"
)

// Get returns the durable record under path. Errors: ErrNotFound; ErrCorrupt, with the
// path in the text, if the stored record does not match the census; ErrClosed;
// ErrUnavailable if the record cannot be verified because the store failed closed.
func (s *Store) Get(ctx context.Context, path string) (Record, error) {
	for {
		q, err := s.query(path)
		if err != nil {
			return Record{}, err
		}
		// The lock is not held here: a reader that waits for the engine must not delay
		// others.
		sealed, err := s.engine.Get(ctx, q.at)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Record{}, err
		}
		rec, moved, err := s.answer(q, sealed)
		if !moved || !errors.Is(err, ErrCorrupt) {
			return rec, err
		}
		if ctx.Err() != nil {
			return Record{}, ctx.Err()
		}
		if f := s.Failed(); f != nil {
			return Record{}, f
		}
	}
}

// query is one lookup of a record: its engine key, and what was known of it before the
// engine was read.
type query struct {
	path   string
	at     []byte
	before knowledge
}

func (s *Store) query(path string) (query, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.keys == nil {
		return query{}, ErrClosed
	}
	q := query{path: path, before: s.knowledge(path)}
	if !q.before.there && !q.before.pending {
		return q, ErrNotFound
	}
	q.at = s.keys.engineKey(path)
	return q, nil
}

// answer opens the bytes that the engine returned, nil for an absent record. They must
// match what was known before the read or what is known now. If they match neither, moved
// reports whether a commit came between, so that the query is worth repeating.
func (s *Store) answer(q query, sealed []byte) (rec Record, moved bool, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, moved, err = s.verify(q, sealed); err != nil {
		return rec, moved, err
	}
	var o sealer
	id, got, value, err := o.open(s.keys, q.at, sealed)
	if err != nil || got != q.path {
		return rec, moved, fmt.Errorf("%w: record %q does not open", ErrCorrupt, q.path)
	}
	return Record{Path: got, Version: id.version, Value: value}, moved, nil
}

// verify compares the hash of the bytes that the engine returned with the census, and
// returns the hash. moved is as for answer. The caller holds s.mu.
func (s *Store) verify(q query, sealed []byte) (hash [32]byte, moved bool, err error) {
	if s.keys == nil {
		return hash, false, ErrClosed
	}
	now := s.knowledge(q.path)
	moved = q.before.pending || now.pending || q.before.generation != now.generation
	if sealed == nil {
		if q.before.allowsNone() || now.allowsNone() {
			return hash, moved, ErrNotFound
		}
		return hash, moved, fmt.Errorf("%w: record %q is missing", ErrCorrupt, q.path)
	}
	hash = s.keys.suite.Sum(sealed)
	if !q.before.allows(hash) && !now.allows(hash) {
		return hash, moved, fmt.Errorf("%w: record %q is not the one last written", ErrCorrupt, q.path)
	}
	return hash, moved, nil
}
