package keystore

import (
	"context"
	"errors"
	"fmt"
)

// Get answers the durable record under path: ErrNotFound, or ErrCorrupt with
// the path if it is not what the census knows.
func (s *Store) Get(ctx context.Context, path string) (Record, error) {
	for {
		s.mu.RLock()
		if s.keys == nil {
			s.mu.RUnlock()
			return Record{}, ErrClosed
		}
		generation := s.head.generation
		_, pending := s.pending[path]
		rec, err := s.get(ctx, path)
		s.mu.RUnlock()
		// A batch may have landed between the engine and the census.
		if !errors.Is(err, ErrCorrupt) || (!pending && generation == s.generation()) {
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

func (s *Store) generation() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.head.generation
}

// get reads path under the lock.
func (s *Store) get(ctx context.Context, path string) (Record, error) {
	want, known := s.census.entries[path]
	next, pending := s.pending[path]
	if !known && !pending {
		return Record{}, ErrNotFound
	}
	at := s.keys.engineKey(path)
	sealed, err := s.engine.Get(ctx, at)
	if errors.Is(err, ErrNotFound) {
		if !known || (pending && next.deleted) {
			return Record{}, ErrNotFound
		}
		return Record{}, fmt.Errorf("%w: record %q is missing", ErrCorrupt, path)
	}
	if err != nil {
		return Record{}, err
	}
	hash := s.keys.suite.Sum(sealed)
	if !(known && hash == want.hash) && !(pending && !next.deleted && hash == next.hash) {
		return Record{}, fmt.Errorf("%w: record %q is not the one last written", ErrCorrupt, path)
	}
	var o sealer
	id, got, value, err := o.open(s.keys, at, sealed)
	if err != nil || got != path {
		return Record{}, fmt.Errorf("%w: record %q does not open", ErrCorrupt, path)
	}
	return Record{Path: path, Version: id.version, Value: value}, nil
}
