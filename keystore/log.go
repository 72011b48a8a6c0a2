package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
)

// LogEntry is one audit record and its place.
type LogEntry struct {
	Seq  uint64
	Leaf []byte
}

// LogRecord answers one audit record: ErrNotFound beyond the end, ErrCorrupt if
// it is missing or does not open.
func (s *Store) LogRecord(ctx context.Context, seq uint64) ([]byte, error) {
	for e, err := range s.LogRange(ctx, seq, seq+1) {
		return e.Leaf, err
	}
	return nil, ErrNotFound
}

// LogRange yields the audit records from, up to but without to, in order, and
// ends at the durable end of the log. After an error it ends.
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

// readLeaves reads some leaves in order, at least one if there is no error.
func (s *Store) readLeaves(ctx context.Context, from, to uint64) ([][]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.keys == nil {
		return nil, ErrClosed
	}
	var after []byte
	if from > 0 {
		after = logKey(from - 1)
	}
	pairs, err := s.engine.Scan(ctx, []byte{prefixLog}, after, int(min(to-from, 256)))
	if err != nil {
		return nil, err
	}
	var o sealer
	var leaves [][]byte
	for _, p := range pairs {
		seq := from + uint64(len(leaves))
		if !bytes.Equal(p.Key, logKey(seq)) {
			return leaves, fmt.Errorf("%w: audit record %d is missing", ErrCorrupt, seq)
		}
		id, _, leaf, err := o.open(s.keys, p.Key, p.Value)
		if err != nil || id.class != classLog || id.version != seq {
			return leaves, fmt.Errorf("%w: audit record %d does not open", ErrCorrupt, seq)
		}
		leaves = append(leaves, leaf)
	}
	if len(leaves) == 0 {
		return nil, fmt.Errorf("%w: audit record %d is missing", ErrCorrupt, from)
	}
	return leaves, nil
}

// checkTail reads the last records of the log and looks for one beyond its end.
func (s *Store) checkTail(ctx context.Context) error {
	size := s.head.log.Size
	for _, err := range s.LogRange(ctx, size-min(size, 64), size) {
		if err != nil {
			return err
		}
	}
	var after []byte
	if size > 0 {
		after = logKey(size - 1)
	}
	beyond, err := s.engine.Scan(ctx, []byte{prefixLog}, after, 1)
	if err == nil && len(beyond) > 0 {
		err = fmt.Errorf("%w: an audit record beyond the log's end", ErrCorrupt)
	}
	return errors.Join(err)
}
