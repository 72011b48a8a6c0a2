package keystore

import (
	"context"
	"fmt"

	"strongroom.example/internal/suite"
)

// group holds the changes that the committer has staged for one batch.
type group struct {
	redacted
	ctx        context.Context
	store      *Store
	generation uint64
	puts       map[string]change
	leaves     [][]byte
	size       int // estimate of the batch
}

// pairOverhead is the number of bytes that sealing adds to a record's path and value,
// including its engine key.
const pairOverhead = 33 + recordHeader + suite.Overhead + 2

func (s *Store) newGroup() *group {
	return &group{
		ctx: context.Background(), store: s, generation: s.head.generation + 1,
		puts: map[string]change{}, size: groupOverhead,
	}
}

// groupOverhead is the number of bytes that the head and the segments add to a batch.
const groupOverhead = 16*pairOverhead + headFixed + 32*maxFrontier

// stage runs op on its own overlay and merges the overlay into the group. If op fails,
// none of its changes are kept and its staged values are wiped.
func (g *group) stage(op func(*Tx) error) error {
	t := &Tx{group: g}
	leaves, err := t.run(op)
	if err != nil {
		for _, c := range t.puts {
			suite.Wipe(c.value)
		}
		return err
	}
	for path, c := range t.puts {
		suite.Wipe(g.puts[path].value)
		g.puts[path] = c
		g.size += pairOverhead + len(path) + len(c.value)
	}
	for _, l := range leaves {
		g.size += maxStep + len(l)
	}
	g.leaves = append(g.leaves, leaves...)
	return nil
}

// run calls op and its encoders. A panic becomes op's error, so that it does not end the
// committer. The error has only the type of the panic's value, because the value may
// contain a secret.
func (t *Tx) run(op func(*Tx) error) (leaves [][]byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("keystore: the operation panicked (%T)", p)
		}
	}()
	if err := op(t); err != nil {
		return nil, err
	}
	if t.err != nil {
		return nil, t.err
	}
	next := t.group.store.head.log.Size + uint64(len(t.group.leaves))
	for i, encode := range t.leaves {
		leaf := encode(next + uint64(i))
		if len(leaf) > MaxValue {
			return nil, fmt.Errorf("%w: an audit record of %d bytes", ErrTooLarge, len(leaf))
		}
		leaves = append(leaves, leaf)
	}
	return leaves, nil
}

func (g *group) empty() bool { return len(g.puts) == 0 && len(g.leaves) == 0 }

func (g *group) wipe() {
	for _, c := range g.puts {
		suite.Wipe(c.value)
	}
}
