package keystore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"

	"strongroom.example/internal/redact"
	"strongroom.example/keystore/internal/census"
	"strongroom.example/keystore/internal/record"
)

// Class determines which epoch key seals a record.
type Class uint8

const (
	// Meta records are sealed under the record key of their epoch, which is kept.
	Meta Class = iota
	// Material records are sealed under the material key of their epoch, which
	// ChangeEpoch and Rekey destroy.
	Material
)

// Record is one mutable record. Version is the generation of the store at which it was
// last written; it grows with each batch that changes the record. Operations in the same
// batch share it.
type Record struct {
	Path    string
	Version uint64
	Value   []byte
}

const (
	// MaxValue is the largest value of a record, in bytes.
	MaxValue = 32 << 10
	// MaxPath is the longest path, in bytes.
	MaxPath = 512
)

// redacted, when embedded, keeps a type from printing its contents.
type redacted = redact.Secret

// String returns the path and version. It omits the value, which may be a secret.
func (r Record) String() string {
	return fmt.Sprintf("record %q, version %d, %s", r.Path, r.Version, redact.Text)
}

// Format prints String under every verb.
func (r Record) Format(f fmt.State, _ rune) { io.WriteString(f, r.String()) }

// LogValue returns String.
func (r Record) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText returns String.
func (r Record) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// GobEncode returns String, which no decoder accepts.
func (r Record) GobEncode() ([]byte, error) { return []byte(r.String()), nil }

// Get returns the durable record under path. Errors: ErrNotFound; ErrCorrupt, with the
// path in the text, if the stored record does not match the census; ErrClosed;
// ErrUnavailable if the record cannot be verified because the store failed closed.
func (s *Store) Get(ctx context.Context, path string) (Record, error) {
	for {
		q, err := s.newLookup(path)
		if err != nil {
			return Record{}, err
		}
		// The lock is not held here: a reader that waits for the engine must not delay
		// others.
		sealed, err := s.getSealed(ctx, q.at)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Record{}, err
		}
		rec, err := s.opened(q, sealed)
		if !errors.Is(err, ErrCorrupt) || !s.moved(q) {
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

// lookup is one lookup of a record: its engine key, and what was known of it before the
// engine was read.
type lookup struct {
	path   string
	at     []byte
	before recordState
}

func (s *Store) newLookup(path string) (lookup, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.keys == nil {
		return lookup{}, ErrClosed
	}
	q := lookup{path: path, before: s.stateOf(path)}
	if !q.before.there && !q.before.pending {
		return q, ErrNotFound
	}
	q.at = record.Key(s.keys, path)
	return q, nil
}

// opened opens the bytes that the engine returned, nil for an absent record.
func (s *Store) opened(q lookup, sealed []byte) (Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, err := s.verify(q, sealed); err != nil {
		return Record{}, err
	}
	id, got, value, err := record.Open(s.keys, q.at, sealed)
	if err != nil || got != q.path {
		return Record{}, fmt.Errorf("%w: record %q does not open", ErrCorrupt, q.path)
	}
	return Record{Path: got, Version: id.Version, Value: value}, nil
}

// verify compares the hash of the bytes that the engine returned, nil for an absent record,
// with the census, and returns the hash. The bytes must match what was known before the
// engine was read or what is known now. The caller holds s.mu.
func (s *Store) verify(q lookup, sealed []byte) (hash [32]byte, err error) {
	if s.keys == nil {
		return hash, ErrClosed
	}
	if sealed == nil {
		if q.before.allowsNone() || s.stateOf(q.path).allowsNone() {
			return hash, ErrNotFound
		}
		return hash, fmt.Errorf("%w: record %q is missing", ErrCorrupt, q.path)
	}
	hash = s.keys.Suite().Sum(sealed)
	if !q.before.allows(hash) && !s.stateOf(q.path).allows(hash) {
		return hash, fmt.Errorf("%w: record %q is not the one last written", ErrCorrupt, q.path)
	}
	return hash, nil
}

// moved reports whether a commit came after the beginning of a lookup, or is in flight for
// its path, so that a lookup that failed is worth repeating.
func (s *Store) moved(q lookup) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := s.stateOf(q.path)
	return q.before.pending || now.pending || q.before.generation != now.generation
}

// recordState is the state of one record at a generation: the durable entry, and the change
// by a batch in flight. The engine may hold either.
type recordState struct {
	generation uint64
	durable    census.Entry
	there      bool
	next       census.Change
	pending    bool
}

// stateOf returns what is known of path. The caller holds s.mu.
func (s *Store) stateOf(path string) (k recordState) {
	k.generation = s.head.Generation
	k.durable, k.there = s.census.Entries[path]
	k.next, k.pending = s.pending[path]
	return k
}

// allows reports whether the engine may hold sealed bytes with this hash.
func (k recordState) allows(hash [32]byte) bool {
	return k.there && hash == k.durable.Hash || k.pending && !k.next.Deleted && hash == k.next.Hash
}

// allowsNone reports whether the record may be absent from the engine.
func (k recordState) allowsNone() bool { return !k.there || k.pending && k.next.Deleted }

// Get returns the record as seen after this operation's changes so far and those of
// earlier operations in the group. The version of a staged record is the group's
// generation.
func (t *Tx) Get(path string) (Record, error) {
	if c, ok := t.staged(path); ok {
		if c.deleted {
			return Record{}, ErrNotFound
		}
		value := append([]byte(nil), c.value...)
		return Record{Path: path, Version: t.group.generation, Value: value}, nil
	}
	return t.group.store.Get(t.group.ctx, path)
}

// Paths lists the paths that start with prefix, sorted, as Get sees them: with this
// operation's changes so far and those of earlier operations in the group. prefix has a
// slash. The first call for a folder indexes it, as PathsAfter does.
func (t *Tx) Paths(prefix string) []string {
	paths := t.group.store.PathsAfter(prefix, "", math.MaxInt)
	for path := range t.group.puts {
		paths = t.merge(paths, path, prefix)
	}
	for path := range t.puts {
		paths = t.merge(paths, path, prefix)
	}
	return paths
}

// merge inserts a staged path into the sorted paths, or removes it if it was deleted.
func (t *Tx) merge(paths []string, path, prefix string) []string {
	if !strings.HasPrefix(path, prefix) {
		return paths
	}
	i, found := slices.BinarySearch(paths, path)
	switch there := t.Version(path) != 0; {
	case there && !found:
		return slices.Insert(paths, i, path)
	case !there && found:
		return slices.Delete(paths, i, i+1)
	}
	return paths
}
