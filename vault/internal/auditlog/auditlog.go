// Package auditlog keeps the Merkle tree of a vault's audit log beside the log in the store:
// it extends the tree, signs checkpoints, and reads and trims both.
package auditlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"sync/atomic"

	"strongroom.example/audit"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/fault"
)

// checkpointEvery is the number of records between two signed checkpoints.
const checkpointEvery = 1024

// nodeLevel is the lowest level of the tree whose nodes are stored. Lower nodes are computed
// from at most 2^nodeLevel records.
const nodeLevel = 8

// trimBatch is how many records of the tree one commit removes.
const trimBatch = 500

const (
	folder      = "log/"
	checkpoints = folder + "checkpoint/"
	nodes       = folder + "node/"
)

// NodePath returns the path of a stored node of the tree.
func NodePath(level uint, index uint64) string {
	return fmt.Sprintf(nodes+"%02d/%016x", level, index)
}

func checkpointPath(size uint64) string { return checkpoints + fmt.Sprintf("%016x", size) }

// A Log is the audit log of one vault. It extends the tree for the store's committer.
type Log struct {
	Tree   audit.Tree
	Origin string
	// Key signs checkpoints, cuts and receipts. It is set once the store is open.
	Key atomic.Pointer[audit.LogKey]
}

// Extend implements keystore.Appender. A checkpoint covers the tree at from, which is
// durable, and never the leaves of the present batch.
func (l *Log) Extend(from keystore.LogState, leaves [][]byte) (keystore.Extension, error) {
	var put []keystore.SideRecord
	visit := func(level uint, index uint64, hash [32]byte) {
		if level >= nodeLevel {
			put = append(put, keystore.SideRecord{Path: NodePath(level, index), Value: hash[:]})
		}
	}
	next := l.Tree.Extend(audit.State{Size: from.Size, Frontier: from.Frontier}, leaves, visit)
	state := keystore.LogState{Size: next.Size, Root: l.Tree.Root(next), Frontier: next.Frontier, Checkpoint: from.Checkpoint}
	if key := l.Key.Load(); key != nil && from.Size-from.Checkpoint >= checkpointEvery {
		note, err := key.Sign(audit.Checkpoint{Origin: l.Origin, Size: from.Size, Root: from.Root})
		if err != nil {
			return keystore.Extension{}, fmt.Errorf("signing a checkpoint: %w", err)
		}
		put = append(put, keystore.SideRecord{Path: checkpointPath(from.Size), Value: note})
		state.Checkpoint = from.Size
	}
	return keystore.Extension{State: state, Put: put}, nil
}

// Checkpoint signs a checkpoint of a state of the log.
func (l *Log) Checkpoint(at keystore.LogState) ([]byte, error) {
	return l.Key.Load().Sign(audit.Checkpoint{Origin: l.Origin, Size: at.Size, Root: at.Root})
}

// Checkpoints returns the stored checkpoints from a size up to, but not including, a state
// of the log, and a new checkpoint of that state.
func (l *Log) Checkpoints(ctx context.Context, s *keystore.Store, from uint64, end keystore.LogState) ([][]byte, error) {
	var notes [][]byte
	for _, path := range s.Paths(checkpoints) {
		if n, ok := endOf(path); !ok || n < from || n >= end.Size {
			continue
		}
		r, err := s.Get(ctx, path)
		if err != nil {
			return nil, err
		}
		notes = append(notes, r.Value)
	}
	last, err := l.Checkpoint(end)
	return append(notes, last), err
}

// WriteExport writes the records between two states of the log, and the notes.
func WriteExport(ctx context.Context, w io.Writer, s *keystore.Store, header audit.Export, end uint64, notes [][]byte) error {
	leaves := func(yield func([]byte, error) bool) {
		for e, err := range s.LogRange(ctx, header.First, end) {
			if !yield(e.Leaf, err) || err != nil {
				return
			}
		}
	}
	return audit.WriteExport(w, header, leaves, notes)
}

// Records returns an iterator over the records from one sequence number up to another. An
// error is yielded once and ends the iteration. ErrCorrupt names the damaged record.
func Records(ctx context.Context, s *keystore.Store, from, to uint64) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		for e, err := range s.LogRange(ctx, from, to) {
			var r audit.Record
			if err == nil {
				if r, err = audit.ParseRecord(e.Leaf); err != nil {
					err = fmt.Errorf("%w: audit record %d: %w", fault.ErrCorrupt, e.Seq, err)
				}
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// Nodes returns the nodes of the tree, for proofs that hold only records that were not lost.
func (l *Log) Nodes(ctx context.Context, s *keystore.Store) (nodes audit.Nodes) {
	nodes = storedNodes{ctx, s, l.Tree}
	for _, g := range s.LogGaps() {
		after := audit.State{Size: g.After.Size, Frontier: g.After.Frontier}
		nodes = l.Tree.Without(audit.LogGap{From: g.From, After: after, Err: g.Err()}, nodes)
	}
	return nodes
}

// storedNodes are the nodes of the log's tree that have no lost record: from nodeLevel up as
// they are stored, and below computed from the records. A node that was lost with the
// damage before a Repair is computed too.
type storedNodes struct {
	ctx  context.Context
	s    *keystore.Store
	tree audit.Tree
}

// Node implements audit.Nodes.
func (n storedNodes) Node(level uint, index uint64) ([32]byte, error) {
	if level >= nodeLevel {
		path := NodePath(level, index)
		r, err := n.s.Get(n.ctx, path)
		if err == nil && len(r.Value) != 32 {
			err = fmt.Errorf("%w: record %s has %d bytes", fault.ErrCorrupt, path, len(r.Value))
		}
		if err == nil {
			return [32]byte(r.Value), nil
		}
		if !errors.Is(err, keystore.ErrNotFound) {
			return [32]byte{}, err
		}
	}
	state := audit.State{}
	for e, err := range n.s.LogRange(n.ctx, index<<level, (index+1)<<level) {
		if err != nil {
			return [32]byte{}, err
		}
		state = n.tree.Extend(state, [][]byte{e.Leaf}, nil)
	}
	return n.tree.Root(state), nil
}

// Trim removes the stored nodes and checkpoints of trees that end before the first record
// that is kept.
func Trim(ctx context.Context, s *keystore.Store) error {
	first := s.LogFirst().Size
	if first == 0 {
		return nil
	}
	var old []string
	for _, path := range s.Paths(folder) {
		if end, ok := endOf(path); ok && end < first {
			old = append(old, path)
		}
	}
	for len(old) > 0 {
		some := old[:min(len(old), trimBatch)]
		err := s.CommitInReserve(ctx, func(tx *keystore.Tx) error {
			for _, path := range some {
				tx.Delete(path)
			}
			return nil
		})
		if err != nil {
			return err
		}
		old = old[len(some):]
	}
	return nil
}

// endOf returns the number of records that a stored node or checkpoint covers from the
// beginning of the log. It returns false for other paths.
func endOf(path string) (uint64, bool) {
	if size, ok := strings.CutPrefix(path, checkpoints); ok {
		n, err := strconv.ParseUint(size, 16, 64)
		return n, err == nil
	}
	node, ok := strings.CutPrefix(path, nodes)
	level, index, cut := strings.Cut(node, "/")
	l, levelErr := strconv.ParseUint(level, 10, 6)
	n, indexErr := strconv.ParseUint(index, 16, 64)
	return (n + 1) << l, ok && cut && levelErr == nil && indexErr == nil
}
