package keystore

import (
	"context"
	"fmt"
	"iter"
)

// LogEntry is one audit record and its sequence number.
type LogEntry struct {
	Seq  uint64
	Leaf []byte
}

// LogRecord returns one audit record. Errors: ErrNotFound beyond the end of the log,
// ErrCorrupt if the record is missing or does not open.
func (s *Store) LogRecord(ctx context.Context, seq uint64) ([]byte, error) {
	for e, err := range s.LogRange(ctx, seq, seq+1) {
		return e.Leaf, err
	}
	return nil, ErrNotFound
}

// LogRange yields the audit records from, up to but not including to, in order. It stops
// at the durable end of the log, and after an error.
func (s *Store) LogRange(ctx context.Context, from, to uint64) iter.Seq2[LogEntry, error] {
	return func(yield func(LogEntry, error) bool) {
		to = min(to, s.LogState().Size)
		for from < to {
			leaves, err := s.readLeaves(ctx, from, to)
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
	pairs, err := s.engine.Scan(ctx, []byte{prefixLog}, before(from), int(min(to-from, scanSegments)))
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.keys == nil {
		return nil, ErrClosed
	}
	if len(pairs) == 0 {
		return nil, fmt.Errorf("%w: audit record %d is missing", ErrCorrupt, from)
	}
	var o sealer
	var leaves [][]byte
	for i, p := range pairs {
		next := from + uint64(len(leaves))
		if next >= to {
			break
		}
		segment, err := o.openSegment(s.keys, p, next, i == 0)
		if err != nil {
			return leaves, err
		}
		leaves = append(leaves, segment...)
	}
	return leaves[:min(uint64(len(leaves)), to-from)], nil
}

// before returns the engine key after which a scan finds first the segment that holds
// seq.
func before(seq uint64) []byte {
	if seq == 0 {
		return nil
	}
	return logKey(seq - 1)
}

// checkTail reads the last records of the log and checks that none is stored beyond its
// end.
func (s *Store) checkTail(ctx context.Context) error {
	size := s.head.log.Size
	for _, err := range s.LogRange(ctx, size-min(size, 64), size) {
		if err != nil {
			return err
		}
	}
	beyond, err := s.engine.Scan(ctx, []byte{prefixLog}, before(size), 1)
	if err == nil && len(beyond) > 0 {
		err = fmt.Errorf("%w: an audit record beyond the log's end, under engine key %x", ErrCorrupt, beyond[0].Key)
	}
	return err
}
