package keystore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"strongroom.example/keystore/internal/census"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/record"
	"strongroom.example/keystore/internal/snapshot"
)

// A Position is the state of a store in a snapshot. A later snapshot may be limited to
// the changes since then.
type Position struct {
	Generation uint64
	Log        LogState
	// RecordEpoch and MaterialEpoch are the epochs under which new records were sealed.
	RecordEpoch, MaterialEpoch uint32
}

const (
	// chunkSize and chunkPairs bound what a reader of a snapshot reads ahead at once.
	chunkSize, chunkPairs = 128 << 10, 256
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
	x := &snapshotter{store: s, since: since, out: snapshot.NewWriter(w), log: since.Log.clone(), written: map[string]written{}}
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
	defer x.keys.Free()
	return x.end, x.finish()
}

// A snapshotter is the state of a call of Snapshot.
type snapshotter struct {
	redacted
	store   *Store
	since   Position
	out     *snapshot.Writer
	log     LogState           // the part of the log that was written
	written map[string]written // the records that were written, by path

	// The state at the end, copied while the committer was stopped.
	rest           []Pair
	live           []string // without it, a restore would keep records that were deleted after they were written
	keys           *keyring.Keyring
	end            Position
	head           []byte
	rootGeneration uint64
}

// written is a record that was written: the hash of its sealed bytes, and its engine key.
type written struct {
	hash [32]byte
	at   []byte
}

// writeChanges writes the records and segments that are not yet written. Commits continue
// during the call, so some of them may be out of date when it returns. The records and the
// segments are read in a goroutine each, and encrypted in a third, because each of the three
// takes about as long as the others.
func (x *snapshotter) writeChanges(caller context.Context) error {
	ctx, stop := context.WithCancel(caller)
	defer stop()
	var once sync.Once
	var fault error
	fail := func(err error) { once.Do(func() { fault = err; stop() }) }
	chunks := make(chan []Pair, 4)
	var readers sync.WaitGroup
	for _, read := range []func(context.Context, func(Pair) error) error{x.records, x.segments} {
		readers.Go(func() {
			c := chunker{ctx: ctx, out: chunks}
			err := read(ctx, c.put)
			if err == nil {
				err = c.send()
			}
			if err != nil {
				fail(err)
			}
		})
	}
	go func() { readers.Wait(); close(chunks) }()
	for chunk := range chunks {
		if ctx.Err() != nil {
			continue // the readers end
		}
		if err := x.writePairs(chunk); err != nil {
			fail(err)
		}
	}
	return cmp.Or(caller.Err(), fault)
}

// A chunker sends pairs in chunks.
type chunker struct {
	ctx   context.Context
	out   chan<- []Pair
	chunk []Pair
	size  int
}

func (c *chunker) put(p Pair) error {
	c.chunk, c.size = append(c.chunk, p), c.size+len(p.Value)
	if c.size < chunkSize && len(c.chunk) < chunkPairs {
		return nil
	}
	return c.send()
}

func (c *chunker) send() error {
	chunk := c.chunk
	c.chunk, c.size = make([]Pair, 0, cap(chunk)), 0
	select {
	case c.out <- chunk:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// records passes the records that are not yet written to put.
func (x *snapshotter) records(ctx context.Context, put func(Pair) error) error {
	s := x.store
	note := func(path string, p Pair, hash [32]byte) error {
		x.written[path] = written{hash, p.Key}
		return put(p)
	}
	if x.since.Generation == 0 && len(x.written) == 0 {
		return s.walkRecords(ctx, note, nil)
	}
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
		if err := note(path, p, hash); err != nil {
			return err
		}
	}
	return nil
}

// changed lists the records whose current state is not yet written. The caller holds
// s.mu, or runs in the committer.
func (x *snapshotter) changed() (paths []string) {
	for path, e := range x.store.census.Entries {
		w, ok := x.written[path]
		if ok && w.hash == e.Hash || !ok && x.unchanged(e) {
			continue
		}
		paths = append(paths, path)
	}
	return paths
}

// unchanged reports whether the snapshot on which this one is based has the record. It
// compares the epoch too, because a new epoch re-seals a record without changing its
// version.
func (x *snapshotter) unchanged(e census.Entry) bool {
	epoch := x.since.RecordEpoch
	if e.Class == keyring.Material {
		epoch = x.since.MaterialEpoch
	}
	return x.since.Generation != 0 && e.Version <= x.since.Generation && e.Epoch <= epoch
}

// segments passes the audit segments that are not yet written to put. If records that are
// not yet written are removed from the log meanwhile, it goes on behind them.
func (x *snapshotter) segments(ctx context.Context, put func(Pair) error) error {
	s := x.store
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if first := s.LogFirst(); x.log.Size < first.Size {
			x.log = first
		}
		g, broken := s.lostAt(x.log.Size)
		if broken && g.From <= x.log.Size {
			x.log = g.After.clone()
			continue
		}
		end := s.LogState().Size
		if x.log.Size >= end {
			return nil
		}
		pairs, err := s.scanSealed(ctx, []byte{record.LogPrefix}, before(x.log.Size), scanSegments)
		if err != nil {
			return err
		}
		if len(pairs) == 0 {
			err = fmt.Errorf("%w: audit record %d is missing", ErrCorrupt, x.log.Size)
		}
		more, putErr := true, error(nil)
		for _, p := range pairs {
			if broken && x.log.Size >= g.From {
				break
			}
			if more = len(p.Key) != 9 || binary.BigEndian.Uint64(p.Key[1:]) < end; !more {
				break // it was in flight, or still is
			}
			if err = x.extend(p); err != nil {
				break
			}
			if putErr = put(p); putErr != nil {
				return putErr
			}
		}
		if err != nil && x.log.Size >= s.LogFirst().Size || !more {
			return err
		}
	}
}

// extend adds the records of a segment to the tree that the snapshot computes.
func (x *snapshotter) extend(p Pair) error {
	s := x.store
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.keys == nil {
		return ErrClosed
	}
	leaves, err := openSegment(s.keys, p, x.log.Size, x.log.Size == s.first.Size)
	if err != nil {
		return err
	}
	x.log, err = s.grow(x.log, leaves)
	return err
}

// firstSegment passes the first segment of a log that was cut since the snapshot on which
// this one is based, because the cut may have replaced a segment that was already written.
func (x *snapshotter) firstSegment(ctx context.Context, put func(Pair) error) error {
	s := x.store
	if e, ok := s.census.Entries[cutPath]; !ok || x.unchanged(e) {
		return nil
	}
	p, ok, err := s.segmentOf(ctx, s.first.Size)
	if err != nil || !ok {
		return err
	}
	return put(p)
}

// hold stops the committer and copies the state at the end of the snapshot if few records
// are unwritten. Otherwise it returns false. The number that counts as few grows with
// each pass.
func (x *snapshotter) hold(ctx context.Context, pass int) (done bool, err error) {
	s := x.store
	err = s.alone(ctx, func() error {
		paths := x.changed()
		limit := 256 << pass
		if pass < maxPasses-1 && (len(paths) > limit || s.head.Log.Size-x.log.Size > uint64(limit)) {
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
		if err := errors.Join(x.segments(ctx, keep), x.firstSegment(ctx, keep)); err != nil {
			return err
		}
		if x.log.Size != s.head.Log.Size || x.log.Root != s.head.Log.Root {
			return fmt.Errorf("%w: the log's tree does not match the head", ErrCorrupt)
		}
		done = true
		return x.take()
	})
	return done, err
}

// take copies the state for the end of the snapshot. It runs in the committer.
func (x *snapshotter) take() (err error) {
	s := x.store
	x.head, x.rootGeneration = bytes.Clone(s.sealedHead), s.root.Generation
	x.end = Position{s.head.Generation, LogState(s.head.Log).clone(), s.keys.Current(keyring.Meta), s.keys.Current(keyring.Material)}
	for path := range s.census.Entries {
		x.live = append(x.live, path)
	}
	plain := s.keys.Bytes()
	x.keys, err = keyring.FromBytes(s.arena, s.cfg.Suite.id(), plain)
	return err
}

// finish writes the state that hold copied.
func (x *snapshotter) finish() error {
	if err := x.writePairs(x.rest); err != nil {
		return err
	}
	slices.Sort(x.live)
	for _, path := range x.live {
		at := x.written[path].at
		if at == nil {
			at = record.Key(x.keys, path)
		}
		if err := x.out.Item(snapshot.Live, at, nil); err != nil {
			return err
		}
	}
	if err := x.out.Item(snapshot.Keyring, nil, x.keys.Bytes()); err != nil {
		return err
	}
	return x.out.Item(snapshot.End, binary.BigEndian.AppendUint64(nil, x.rootGeneration), x.head)
}

func (x *snapshotter) writePairs(all []Pair) error {
	for _, p := range all {
		if err := x.out.Item(snapshot.Pair, p.Key, p.Value); err != nil {
			return err
		}
	}
	return nil
}
