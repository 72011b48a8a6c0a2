package keystore

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"strongroom.example/keystore/internal/census"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/record"
)

// censusChunk is how many records one scan of takeCensus reads.
const censusChunk = 256

// takeCensus opens every mutable record, enters it into c, which is empty, and compares
// the result with the head.
func (s *Store) takeCensus(ctx context.Context, c *census.Census) error {
	if err := s.countRecords(ctx, c); err != nil {
		return err
	}
	return c.Compare(s.keys, s.head.Digest, s.head.Count, s.head.Generation)
}

// countRecords opens every mutable record and enters it into c, which is empty. All cores
// take part, because opening the records is most of the time of Open. No batch may be
// committed meanwhile.
func (s *Store) countRecords(ctx context.Context, c *census.Census) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	type opened struct {
		part census.Part
		err  error
	}
	chunks, parts := make(chan []Pair), make(chan opened)
	var scanned error
	go func() {
		defer close(chunks)
		scanned = s.eachChunk(ctx, func(pairs []Pair) error {
			select {
			case chunks <- pairs:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	var open sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		open.Go(func() {
			for pairs := range chunks {
				part, err := s.openChunk(pairs)
				parts <- opened{part, err}
			}
		})
	}
	go func() { open.Wait(); close(parts) }()
	*c = *census.New(s.head.Count)
	var fault error
	for p := range parts {
		if p.err != nil && fault == nil {
			fault = p.err
			stop()
		}
		c.Add(p.part)
	}
	return cmp.Or(fault, scanned)
}

// openChunk opens a chunk of records.
func (s *Store) openChunk(pairs []Pair) (part census.Part, err error) {
	for _, p := range pairs {
		if err := part.Take(s.keys, p.Key, p.Value); err != nil {
			return part, err
		}
	}
	return part, nil
}

// walkRecords passes every mutable record to each, sealed as it is stored, with its path and
// the hash of the sealed bytes, while the store is in use. It compares each record with the
// census and does not open it, because Open already did so or this process sealed it.
// Records that are made meanwhile may be missing. Keys that the census did not know at the
// beginning are passed to other, if that is not nil.
func (s *Store) walkRecords(ctx context.Context, each func(path string, p Pair, hash [32]byte) error, other func(Pair) error) error {
	left, err := s.engineKeys()
	if err != nil {
		return err
	}
	pass := func(path string, p Pair, hash [32]byte, verified bool) error {
		if !verified {
			var err error
			if p, hash, err = s.sealedRecord(ctx, path); errors.Is(err, ErrNotFound) {
				return nil // deleted since
			} else if err != nil {
				return err
			}
		}
		return each(path, p, hash)
	}
	err = s.eachChunk(ctx, func(pairs []Pair) error {
		hashes, verified := s.hashRecords(pairs, left)
		for i, p := range pairs {
			if path, ok := left[string(p.Key)]; ok {
				delete(left, string(p.Key))
				if err := pass(path, p, hashes[i], verified[i]); err != nil {
					return err
				}
			} else if other != nil {
				if err := other(p); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, path := range left { // missing, or deleted since
		if err := pass(path, Pair{}, [32]byte{}, false); err != nil {
			return err
		}
	}
	return nil
}

// engineKeys returns the paths of all records, by engine key.
func (s *Store) engineKeys() (map[string]string, error) {
	paths := s.Paths("")
	all := make(map[string]string, len(paths))
	for some := range slices.Chunk(paths, censusChunk) {
		if err := s.withKeys(func(k *keyring.Keyring) {
			for _, path := range some {
				all[string(record.Key(k, path))] = path
			}
		}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// withKeys calls f with the keyring, which stays valid during the call. ErrClosed after
// Close.
func (s *Store) withKeys(f func(k *keyring.Keyring)) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.keys == nil {
		return ErrClosed
	}
	f(s.keys)
	return nil
}

// hashRecords returns the hashes of records, and which of them the census has so.
func (s *Store) hashRecords(pairs []Pair, paths map[string]string) (hashes [][32]byte, same []bool) {
	hashes, same = make([][32]byte, len(pairs)), make([]bool, len(pairs))
	for i, p := range pairs {
		hashes[i] = s.cfg.Suite.id().Sum(p.Value)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i, p := range pairs {
		if path, ok := paths[string(p.Key)]; ok {
			e, there := s.census.Entries[path]
			same[i] = there && e.Hash == hashes[i]
		}
	}
	return hashes, same
}

// eachChunk passes the mutable records of the engine to f, sealed, in chunks.
func (s *Store) eachChunk(ctx context.Context, f func([]Pair) error) error {
	var after []byte
	for {
		pairs, err := s.scanSealed(ctx, []byte{record.Prefix}, after, censusChunk)
		if err != nil || len(pairs) == 0 {
			return err
		}
		if err := f(pairs); err != nil {
			return err
		}
		after = pairs[len(pairs)-1].Key
	}
}

// sealedRecord returns a record as it is stored, sealed. It compares the hash of the sealed
// record with the census, and does not decrypt the record: Open decrypted it before, or this
// process sealed it.
func (s *Store) sealedRecord(ctx context.Context, path string) (Pair, [32]byte, error) {
	for {
		q, err := s.newLookup(path)
		if err != nil {
			return Pair{}, [32]byte{}, err
		}
		sealed, err := s.getSealed(ctx, q.at)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Pair{}, [32]byte{}, err
		}
		s.mu.RLock()
		hash, err := s.verify(q, sealed)
		s.mu.RUnlock()
		if err == nil {
			return Pair{q.at, sealed}, hash, nil
		}
		if !errors.Is(err, ErrCorrupt) || !s.moved(q) {
			return Pair{}, [32]byte{}, err
		}
		if err := errors.Join(ctx.Err(), s.Failed()); err != nil {
			return Pair{}, [32]byte{}, err
		}
	}
}
