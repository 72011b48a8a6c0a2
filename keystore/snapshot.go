package keystore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// A Position is the state of a store in a snapshot. A later snapshot may be limited to
// the changes since then.
type Position struct {
	Generation uint64
	Log        LogState
	// RecordEpoch and MaterialEpoch are the epochs under which new records were sealed.
	RecordEpoch, MaterialEpoch uint32
}

// The items of a snapshot. The first byte of an item is its kind; docs/formats.md
// specifies the encoding.
const (
	itemPair    = 'p' // one sealed record or audit segment
	itemLive    = 'l' // the engine key of a record that exists at the end
	itemKeyring = 'k'
	itemEnd     = 'e'
)

const (
	maxItemKey   = 1 << 10
	maxItemValue = 64 << 10
	// maxPasses bounds how often a snapshot writes the changes made while it was being
	// written, before it stops the committer for the rest.
	maxPasses = 10
)

// Snapshot writes a consistent copy of the store to w while the store is in use: every
// record and audit segment, sealed as stored, and at the end the keyring in the clear.
// The caller must encrypt the data written to w and wipe the plaintext. Each record is
// compared with the census, and the log's tree is recomputed from its records; damage
// ends the snapshot with ErrCorrupt.
//
// The snapshot has the state at the end of the call. If since is not zero, it omits
// records that did not change after it.
func (s *Store) Snapshot(ctx context.Context, w io.Writer, since Position) (Position, error) {
	x := &snapshot{store: s, since: since, out: itemWriter{w: w}, log: since.Log.clone(), written: map[string][32]byte{}}
	for pass := range maxPasses {
		if err := x.writeChanges(ctx); err != nil {
			return Position{}, err
		}
		done, err := x.hold(ctx, pass)
		if err != nil {
			return Position{}, err
		}
		if done {
			break
		}
	}
	defer x.keys.free()
	return x.end, x.finish()
}

// snapshot is the state of a call of Snapshot.
type snapshot struct {
	redacted
	store   *Store
	since   Position
	out     itemWriter
	log     LogState            // the part of the log that was written
	written map[string][32]byte // the hash of each record that was written, by path

	// The state at the end, copied while the committer was stopped.
	rest           []Pair
	live           []string // without it, a restore would keep records that were deleted after they were written
	keys           *keyring
	end            Position
	head           []byte
	rootGeneration uint64
}

// writeChanges writes the records and segments that are not yet written. Commits continue
// during the call, so some of them may be out of date when it returns.
func (x *snapshot) writeChanges(ctx context.Context) error {
	s := x.store
	s.mu.RLock()
	paths := x.changed()
	s.mu.RUnlock()
	for _, path := range paths {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, hash, err := s.sealedRecord(ctx, path)
		if errors.Is(err, ErrNotFound) {
			continue // deleted since
		}
		if err != nil {
			return err
		}
		x.written[path] = hash
		if err := x.out.pair(p); err != nil {
			return err
		}
	}
	return x.segments(ctx, x.out.pair)
}

// changed lists the records whose current state is not yet written. The caller holds
// s.mu, or runs in the committer.
func (x *snapshot) changed() (paths []string) {
	for path, e := range x.store.census.entries {
		hash, ok := x.written[path]
		if ok && hash == e.hash || !ok && x.unchanged(e) {
			continue
		}
		paths = append(paths, path)
	}
	return paths
}

// unchanged reports whether the snapshot on which this one is based has the record. It
// compares the epoch too, because a new epoch re-seals a record without changing its
// version.
func (x *snapshot) unchanged(e entry) bool {
	epoch := x.since.RecordEpoch
	if e.class == Material {
		epoch = x.since.MaterialEpoch
	}
	return x.since.Generation != 0 && e.version <= x.since.Generation && e.epoch <= epoch
}

// segments passes the audit segments that are not yet written to put.
func (x *snapshot) segments(ctx context.Context, put func(Pair) error) error {
	s := x.store
	for x.log.Size < s.LogState().Size {
		if err := ctx.Err(); err != nil {
			return err
		}
		pairs, err := s.engine.Scan(ctx, []byte{prefixLog}, before(x.log.Size), scanSegments)
		if err != nil {
			return err
		}
		if len(pairs) == 0 {
			return fmt.Errorf("%w: audit record %d is missing", ErrCorrupt, x.log.Size)
		}
		for _, p := range pairs {
			if len(p.Key) == 9 && binary.BigEndian.Uint64(p.Key[1:]) >= s.LogState().Size {
				return nil // its commit is still in flight
			}
			if err := errors.Join(x.extend(p), put(p)); err != nil {
				return err
			}
		}
	}
	return nil
}

// extend adds the records of a segment to the tree that the snapshot computes.
func (x *snapshot) extend(p Pair) error {
	s := x.store
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.keys == nil {
		return ErrClosed
	}
	var o sealer
	leaves, err := o.openSegment(s.keys, p, x.log.Size, false)
	if err != nil {
		return err
	}
	ext, err := s.cfg.Log.Extend(x.log, leaves)
	x.log = ext.State
	return err
}

// sealedRecord returns a record as it is stored. It compares its hash with the census and
// does not open it, because Open already did so or this process sealed it.
func (s *Store) sealedRecord(ctx context.Context, path string) (Pair, [32]byte, error) {
	for {
		q, err := s.query(path)
		if err != nil {
			return Pair{}, [32]byte{}, err
		}
		sealed, err := s.engine.Get(ctx, q.at)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Pair{}, [32]byte{}, err
		}
		s.mu.RLock()
		hash, moved, err := s.verify(q, sealed)
		s.mu.RUnlock()
		if err == nil {
			return Pair{q.at, sealed}, hash, nil
		}
		if !moved || !errors.Is(err, ErrCorrupt) {
			return Pair{}, [32]byte{}, err
		}
		if err := errors.Join(ctx.Err(), s.Failed()); err != nil {
			return Pair{}, [32]byte{}, err
		}
	}
}

// hold stops the committer and copies the state at the end of the snapshot if few records
// are unwritten. Otherwise it returns false. The number that counts as few grows with
// each pass.
func (x *snapshot) hold(ctx context.Context, pass int) (done bool, err error) {
	s := x.store
	err = s.alone(ctx, func() error {
		paths := x.changed()
		limit := 256 << pass
		if pass < maxPasses-1 && (len(paths) > limit || s.head.log.Size-x.log.Size > uint64(limit)) {
			return nil
		}
		keep := func(p Pair) error { x.rest = append(x.rest, p); return nil }
		for _, path := range paths {
			p, _, err := s.sealedRecord(ctx, path)
			if err != nil {
				return err
			}
			x.rest = append(x.rest, p)
		}
		if err := x.segments(ctx, keep); err != nil {
			return err
		}
		if x.log.Size != s.head.log.Size || x.log.Root != s.head.log.Root {
			return fmt.Errorf("%w: the log's tree does not match the head", ErrCorrupt)
		}
		done = true
		return x.take()
	})
	return done, err
}

// take copies the state for the end of the snapshot. It runs in the committer.
func (x *snapshot) take() (err error) {
	s := x.store
	x.head, x.rootGeneration = bytes.Clone(s.sealed), s.root.Generation
	x.end = Position{s.head.generation, s.head.log.clone(), s.keys.current(Meta), s.keys.current(Material)}
	for path := range s.census.entries {
		x.live = append(x.live, path)
	}
	plain := s.keys.bytes()
	x.keys, err = buildKeyring(s.arena, s.cfg.Suite, len(plain), func(b []byte) { copy(b, plain) })
	return err
}

// finish writes the state that hold copied.
func (x *snapshot) finish() error {
	for _, p := range x.rest {
		if err := x.out.pair(p); err != nil {
			return err
		}
	}
	slices.Sort(x.live)
	for _, path := range x.live {
		if err := x.out.item(itemLive, x.keys.engineKey(path), nil); err != nil {
			return err
		}
	}
	if err := x.out.item(itemKeyring, nil, x.keys.bytes()); err != nil {
		return err
	}
	return x.out.item(itemEnd, binary.BigEndian.AppendUint64(nil, x.rootGeneration), x.head)
}

// itemWriter writes the items of a snapshot.
type itemWriter struct {
	w      io.Writer
	header []byte
}

func (o *itemWriter) pair(p Pair) error { return o.item(itemPair, p.Key, p.Value) }

// item writes kind, the lengths of key and value, and both.
func (o *itemWriter) item(kind byte, key, value []byte) error {
	o.header = append(o.header[:0], kind)
	o.header = binary.BigEndian.AppendUint16(o.header, uint16(len(key)))
	o.header = binary.BigEndian.AppendUint32(o.header, uint32(len(value)))
	for _, b := range [][]byte{append(o.header, key...), value} {
		if _, err := o.w.Write(b); err != nil {
			return err
		}
	}
	return nil
}
