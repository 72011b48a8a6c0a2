package keystore

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/record"
	"strongroom.example/keystore/internal/segment"
)

// LogEntry is one audit record and its sequence number.
type LogEntry struct {
	Seq  uint64
	Leaf []byte
}

// LogRecord returns one audit record. Errors: ErrNotFound beyond the end of the log,
// ErrCut if the record was removed, ErrLost if it was lost before a Repair, ErrCorrupt if
// it is missing or does not open.
func (s *Store) LogRecord(ctx context.Context, seq uint64) ([]byte, error) {
	for e, err := range s.LogRange(ctx, seq, seq+1) {
		return e.Leaf, err
	}
	if g, ok := s.lostAt(seq); ok && g.From <= seq {
		return nil, g.Err()
	}
	return nil, ErrNotFound
}

// LogRange yields the audit records from, up to but not including to, in order. It passes
// over those that are lost; see Repair. It stops at the durable end of the log, and after
// an error, which is ErrCut for a record that was removed.
func (s *Store) LogRange(ctx context.Context, from, to uint64) iter.Seq2[LogEntry, error] {
	return func(yield func(LogEntry, error) bool) {
		to = min(to, s.LogState().Size)
		for from < to {
			end := to
			if g, ok := s.lostAt(from); ok {
				if g.From <= from {
					from = g.After.Size
					continue
				}
				end = min(end, g.From)
			}
			leaves, err := s.readLeaves(ctx, from, end)
			for _, leaf := range leaves {
				if !yield(LogEntry{from, leaf}, nil) {
					return
				}
				from++
			}
			if err != nil {
				yield(LogEntry{Seq: from}, err)
				return
			}
		}
	}
}

// scanSegments is how many segments one scan reads: up to 2 MiB.
const scanSegments = 64

// readLeaves reads consecutive leaves from number from. It returns at least one if there
// is no error.
func (s *Store) readLeaves(ctx context.Context, from, to uint64) ([][]byte, error) {
	pairs, err := s.scanSealed(ctx, []byte{record.LogPrefix}, before(from), int(min(to-from, scanSegments)))
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.keys == nil {
		return nil, ErrClosed
	}
	if from < s.first.Size {
		return nil, LogGap{After: s.first}.Err()
	}
	if len(pairs) == 0 {
		return nil, fmt.Errorf("%w: audit record %d is missing", ErrCorrupt, from)
	}
	var leaves [][]byte
	for i, p := range pairs {
		next := from + uint64(len(leaves))
		if next >= to {
			break
		}
		more, err := openSegment(s.keys, p, next, i == 0)
		if err != nil {
			return leaves, err
		}
		leaves = append(leaves, more...)
	}
	return leaves[:min(uint64(len(leaves)), to-from)], nil
}

// before returns the engine key after which a scan finds first the segment that holds
// seq.
func before(seq uint64) []byte {
	if seq == 0 {
		return nil
	}
	return record.LogKey(seq - 1)
}

// checkTail reads the last records of the log and checks that none is stored beyond its
// end.
func (s *Store) checkTail(ctx context.Context) error {
	size := s.head.Log.Size
	for _, err := range s.LogRange(ctx, max(s.first.Size, size-min(size, 64)), size) {
		if err != nil {
			return err
		}
	}
	beyond, err := s.scanSealed(ctx, []byte{record.LogPrefix}, before(size), 1)
	if err == nil && len(beyond) > 0 {
		err = fmt.Errorf("%w: an audit record beyond the log's end, under engine key %x", ErrCorrupt, beyond[0].Key)
	}
	return err
}

// An audit record may be as long as the value of any record.
var _ [MaxValue]byte = [segment.MaxLeaf]byte{}

// openSegment returns the leaves of a segment starting with number from. The segment must
// contain that leaf, and must begin with it unless loose is set. Otherwise the error is
// ErrCorrupt.
func openSegment(k *keyring.Keyring, p Pair, from uint64, loose bool) ([][]byte, error) {
	if len(p.Key) != 9 {
		return nil, fmt.Errorf("%w: audit record %d: engine key %x", ErrCorrupt, from, p.Key)
	}
	last := binary.BigEndian.Uint64(p.Key[1:])
	id, _, plain, err := record.Open(k, p.Key, p.Value)
	if err != nil || id.Class != keyring.Log || id.Version > last {
		return nil, fmt.Errorf("%w: audit record %d does not open", ErrCorrupt, from)
	}
	if id.Version > from || last < from || id.Version < from && !loose {
		return nil, fmt.Errorf("%w: audit record %d is missing", ErrCorrupt, from)
	}
	leaves, ok := segment.Parse(plain, last-id.Version+1)
	if !ok {
		return nil, fmt.Errorf("%w: audit record %d does not open", ErrCorrupt, from)
	}
	return leaves[from-id.Version:], nil
}

// walkTree computes the state of the log's tree at size to from an earlier state and the
// stored records, and calls pace, if it is not nil, with the number of bytes of each read.
// It passes over lost records, beyond to if that is one of them. After an error it returns
// the state before the record that is missing.
func (s *Store) walkTree(ctx context.Context, state LogState, to uint64, pace func(context.Context, int) error) (LogState, error) {
	for state.Size < to {
		if err := ctx.Err(); err != nil {
			return state, err
		}
		end := to
		if g, ok := s.lostAt(state.Size); ok {
			if g.From <= state.Size {
				state = g.After.clone()
				continue
			}
			end = min(end, g.From)
		}
		leaves, err := s.readLeaves(ctx, state.Size, end)
		if len(leaves) > 0 {
			var growErr error
			if state, growErr = s.grow(state, leaves); growErr != nil {
				return state, growErr
			}
		}
		if err == nil && pace != nil {
			err = pace(ctx, sizeOf(leaves))
		}
		if err != nil {
			return state, err
		}
	}
	return state, nil
}

func sizeOf(leaves [][]byte) (n int) {
	for _, leaf := range leaves {
		n += len(leaf)
	}
	return n
}

// grow computes the next state of the tree. No checkpoint is due.
func (s *Store) grow(state LogState, leaves [][]byte) (LogState, error) {
	state.Checkpoint = state.Size
	ext, err := s.cfg.Log.Extend(state, leaves)
	if err == nil && ext.State.Size <= state.Size {
		err = fmt.Errorf("%w: the log does not grow with its records", ErrCorrupt)
	}
	return ext.State, err
}

// sameTree reports whether two states are of one tree.
func sameTree(a, b LogState) bool {
	return a.Size == b.Size && a.Root == b.Root && slices.Equal(a.Frontier, b.Frontier)
}
