package keystore

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"strongroom.example/keystore/internal/fields"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/record"
	"strongroom.example/keystore/internal/segment"
)

// cutPath is the path of the record with the state of the log's tree at the first record
// that is kept. It is absent if no record was removed.
const cutPath = "log/first"

const (
	cutFormat = 1
	cutFixed  = 1 + 8 + 32
)

// LogFirst returns the state of the tree before the first audit record that is kept. Size
// is the number of that record, 0 if none was removed.
func (s *Store) LogFirst() LogState {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.first.clone()
}

// LogStateAt returns the state of the log's tree at size n. It computes the tree over all
// records that are kept and compares it with the head. Errors: ErrCut if record n was
// removed, ErrLost if the records on both sides of n are lost, ErrNotFound if n is beyond
// the end, ErrCorrupt.
func (s *Store) LogStateAt(ctx context.Context, n uint64) (at LogState, err error) {
	end, first := s.LogState(), s.LogFirst()
	if n > end.Size {
		return at, fmt.Errorf("%w: the log has %d records, not %d", ErrNotFound, end.Size, n)
	}
	if n < first.Size {
		return at, LogGap{After: first}.Err()
	}
	if g, ok := s.lostAt(n); ok && g.From < n {
		return at, g.Err()
	}
	if at, err = s.walkTree(ctx, first, n, nil); err != nil {
		return at, err
	}
	last, err := s.walkTree(ctx, at, end.Size, nil)
	if err == nil && !sameTree(last, end) {
		err = errTree
	}
	return at, err
}

// CutLog removes the audit records before the size of at, which LogStateAt returned, in
// one commit together with the changes of op, whose error changes nothing. Afterwards they cannot
// be read; TrimLog releases their space. Errors are those of CommitInReserve, and ErrConflict if the
// records of at were removed meanwhile, or none are to be removed.
func (s *Store) CutLog(ctx context.Context, at LogState, op func(*Tx) error) error {
	return s.alone(ctx, s.withRoom(true, func() error { return s.cutLog(ctx, at.clone(), op) }))
}

func (s *Store) cutLog(ctx context.Context, at LogState, op func(*Tx) error) (err error) {
	g := s.newGroup()
	defer g.wipe()
	if err := g.stage(op); err != nil {
		return err
	}
	if at.Size <= s.first.Size || at.Size > s.head.Log.Size {
		return fmt.Errorf("%w: a cut at record %d of a log from %d to %d", ErrConflict, at.Size, s.first.Size, s.head.Log.Size)
	}
	at.Checkpoint = at.Size
	g.puts[cutPath] = change{value: encodeCut(at)}
	if g.shorter, err = s.shortened(ctx, at.Size); err != nil {
		return err
	}
	former := s.first
	s.setFirst(at) // before the commit, because the commit replaces the segment that readers of former records need
	if err := s.commitGroup(g, s.head); err != nil {
		s.setFirst(former)
		return err
	}
	return nil
}

func (s *Store) setFirst(at LogState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first = at
}

// shortened returns the segment that has record n and earlier ones, without the earlier
// ones. It returns none if no segment has record n and earlier ones.
func (s *Store) shortened(ctx context.Context, n uint64) ([]record.Plain, error) {
	p, ok, err := s.segmentOf(ctx, n)
	if err != nil || !ok {
		return nil, err
	}
	id, err := record.ParseID(s.keys.Suite(), p.Value)
	if err != nil || id.Version >= n {
		return nil, err
	}
	leaves, err := openSegment(s.keys, p, n, true)
	if err != nil {
		return nil, err
	}
	packed, fits := segment.Append(nil, leaves)
	if fits < len(leaves) {
		return nil, nil // leaves of a byte or two; readers skip the earlier ones
	}
	return []record.Plain{{Class: keyring.Log, Version: n, Key: p.Key, Value: packed}}, nil
}

// segmentOf returns the stored segment with record n. It returns false if the log ends
// before that record.
func (s *Store) segmentOf(ctx context.Context, n uint64) (Pair, bool, error) {
	if n >= s.LogState().Size {
		return Pair{}, false, nil
	}
	pairs, err := s.scanSealed(ctx, []byte{record.LogPrefix}, before(n), 1)
	if err == nil && len(pairs) == 0 {
		err = fmt.Errorf("%w: audit record %d is missing", ErrCorrupt, n)
	}
	if err != nil {
		return Pair{}, false, err
	}
	return pairs[0], true, nil
}

// TrimLog releases the disk space of the audit records that were removed. It may be
// called at any time, and returns at once if there are none.
func (s *Store) TrimLog(ctx context.Context) error {
	first := s.LogFirst().Size
	if first == 0 {
		return nil
	}
	return s.engineError(s.engine.Trim(ctx, record.LogKey(first)))
}

// loadCut reads the state at the first record that is kept. The census is complete.
func (s *Store) loadCut(ctx context.Context) error {
	if _, ok := s.census.Entries[cutPath]; !ok {
		return nil
	}
	r, err := s.Get(ctx, cutPath)
	if err != nil {
		return err
	}
	at, err := parseCut(r.Value)
	if err == nil && at.Size > s.head.Log.Size {
		err = fmt.Errorf("%w: the log begins with record %d and has %d", ErrCorrupt, at.Size, s.head.Log.Size)
	}
	s.setFirst(at)
	return err
}

func encodeCut(at LogState) []byte {
	b := binary.BigEndian.AppendUint64([]byte{cutFormat}, at.Size)
	b = append(b, at.Root[:]...)
	for _, hash := range at.Frontier {
		b = append(b, hash[:]...)
	}
	return b
}

func parseCut(b []byte) (at LogState, err error) {
	if len(b) < cutFixed || b[0] != cutFormat || (len(b)-cutFixed)%32 != 0 {
		return at, fmt.Errorf("%w: record %s", ErrCorrupt, cutPath)
	}
	at.Size = binary.BigEndian.Uint64(b[1:])
	at.Checkpoint, at.Root = at.Size, [32]byte(b[9:])
	for rest := range slices.Chunk(b[cutFixed:], 32) {
		at.Frontier = append(at.Frontier, [32]byte(rest))
	}
	return at, nil
}

// lostPath is the path of the record with the ranges of audit records that are lost. It is
// absent if none is.
const lostPath = "log/lost"

const lostFormat = 1

// A LogGap is a range of audit records that the store does not hold: from record From up
// to but not including After.Size. The log goes on with the state After.
type LogGap struct {
	From  uint64
	After LogState
	// Lost is true if Repair could not read the records, false if a cut removed them.
	Lost bool
}

// Err returns the error for a record in the gap: ErrLost or ErrCut.
func (g LogGap) Err() error {
	if g.Lost {
		return fmt.Errorf("%w: the audit records %d to %d", ErrLost, g.From, g.After.Size-1)
	}
	return fmt.Errorf("%w: the log begins with record %d; use the export that was made before the cut", ErrCut, g.After.Size)
}

// LogGaps returns the gaps of the log, in order: that of the cut, and those of lost records
// behind it.
func (s *Store) LogGaps() []LogGap {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var gaps []LogGap
	if s.first.Size > 0 {
		gaps = append(gaps, LogGap{After: s.first.clone()})
	}
	for _, g := range s.lost {
		if g.After.Size > s.first.Size {
			g.From, g.After = max(g.From, s.first.Size), g.After.clone()
			gaps = append(gaps, g)
		}
	}
	return gaps
}

// LogUnbroken returns the state of the tree from which on all records are kept.
func (s *Store) LogUnbroken() LogState {
	gaps := s.LogGaps()
	if len(gaps) == 0 {
		return LogState{}
	}
	return gaps[len(gaps)-1].After
}

// LogKept returns the state of the tree before the first record that is kept. It is
// LogFirst, or later if the records there are lost.
func (s *Store) LogKept() (at LogState) {
	for _, g := range s.LogGaps() {
		if g.From <= at.Size {
			at = g.After
		}
	}
	return at
}

// Follows reports whether no record of the log was lost since p, so that a snapshot can be
// based on one of p.
func (s *Store) Follows(p Position) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.census.Entries[lostPath]
	return !ok || e.Version <= p.Generation
}

// lostAt returns the first range of lost records that ends after record n.
func (s *Store) lostAt(n uint64) (LogGap, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, g := range s.lost {
		if g.After.Size > n {
			return g, true
		}
	}
	return LogGap{}, false
}

// loadLost reads the ranges. The census is complete.
func (s *Store) loadLost(ctx context.Context) error {
	if _, ok := s.census.Entries[lostPath]; !ok {
		return nil
	}
	r, err := s.Get(ctx, lostPath)
	if err != nil {
		return err
	}
	all, err := parseLost(r.Value)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = all
	return nil
}

func encodeLost(all []LogGap) []byte {
	b := []byte{lostFormat}
	for _, g := range all {
		b = binary.BigEndian.AppendUint64(b, g.From)
		b = binary.BigEndian.AppendUint64(b, g.After.Size)
		b = append(b, g.After.Root[:]...)
		b = fields.AppendHashes(b, g.After.Frontier)
	}
	return b
}

func parseLost(b []byte) (all []LogGap, err error) {
	bad := fmt.Errorf("%w: record %s", ErrCorrupt, lostPath)
	if len(b) == 0 || b[0] != lostFormat {
		return nil, bad
	}
	in, last := fields.NewReader(b[1:]), uint64(0)
	for len(in.Rest()) > 0 && !in.Bad() {
		g := LogGap{From: in.Uint(8), Lost: true}
		g.After.Size = in.Uint(8)
		in.Fill(g.After.Root[:])
		g.After.Frontier = in.Hashes()
		g.After.Checkpoint = g.After.Size
		if g.From < last || g.After.Size <= g.From {
			return nil, bad
		}
		all, last = append(all, g), g.After.Size
	}
	if in.Bad() {
		return nil, bad
	}
	return all, nil
}
