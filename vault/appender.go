package vault

import (
	"fmt"
	"sync/atomic"

	"strongroom.example/audit"
	"strongroom.example/keystore"
)

// checkpointEvery is the number of records between two signed checkpoints.
const checkpointEvery = 1024

// appender extends the audit tree for the store's committer.
type appender struct {
	tree   audit.Tree
	origin string
	// key signs checkpoints. It is set once the store is open.
	key atomic.Pointer[audit.LogKey]
}

// Extend implements keystore.Appender. A checkpoint covers the tree at from, which is
// durable, and never the leaves of the present batch.
func (a *appender) Extend(from keystore.LogState, leaves [][]byte) (keystore.Extension, error) {
	var put []keystore.SideRecord
	visit := func(level uint, index uint64, hash [32]byte) {
		if level >= nodeLevel {
			put = append(put, keystore.SideRecord{Path: nodePath(level, index), Value: hash[:]})
		}
	}
	next := a.tree.Extend(audit.State{Size: from.Size, Frontier: from.Frontier}, leaves, visit)
	state := keystore.LogState{Size: next.Size, Root: a.tree.Root(next), Frontier: next.Frontier, Checkpoint: from.Checkpoint}
	if key := a.key.Load(); key != nil && from.Size-from.Checkpoint >= checkpointEvery {
		note, err := key.Sign(audit.Checkpoint{Origin: a.origin, Size: from.Size, Root: from.Root})
		if err != nil {
			return keystore.Extension{}, fmt.Errorf("signing a checkpoint: %w", err)
		}
		put = append(put, keystore.SideRecord{Path: checkpointPath(from.Size), Value: note})
		state.Checkpoint = from.Size
	}
	return keystore.Extension{State: state, Put: put}, nil
}

// nodeLevel is the lowest level of the tree whose nodes are stored. Lower nodes are
// computed from at most 2^nodeLevel records.
const nodeLevel = 8

func nodePath(level uint, index uint64) string {
	return fmt.Sprintf("log/node/%02d/%016x", level, index)
}
func checkpointPath(size uint64) string { return checkpoints + fmt.Sprintf("%016x", size) }

const checkpoints = "log/checkpoint/"
