package keystore

import (
	"context"
	"fmt"
)

// commitGroup seals the group, and the head derived from next, into one batch and commits
// it. If neither the group nor the root hashes change anything, it commits nothing.
func (s *Store) commitGroup(g *group, next head) error {
	if g.empty() && next.rootHash == s.head.rootHash && next.nextRoot == s.head.nextRoot && s.sealed != nil {
		return nil
	}
	next.generation = g.generation
	ext, err := s.extend(next.log, g.leaves)
	if err != nil {
		return err
	}
	next.log = ext.State
	for _, p := range ext.Put {
		g.puts[p.Path] = change{value: p.Value}
	}
	b, pending, err := s.seal(g)
	if err != nil {
		return err
	}
	return s.commitBatch(b, next, pending)
}

func (s *Store) extend(from LogState, leaves [][]byte) (Extension, error) {
	if len(leaves) == 0 && from.Size > 0 {
		return Extension{State: from}, nil
	}
	return s.cfg.Log.Extend(from, leaves)
}

// seal seals the group's changes and leaves into a batch without the head, and returns
// the census entries that the batch changes. The batch uses buffers that the next call
// overwrites.
func (s *Store) seal(g *group) (b Batch, pending map[string]pendingEntry, err error) {
	s.slab = s.slab[:0]
	b.Put = s.puts[:0]
	pending = make(map[string]pendingEntry, len(g.puts))
	for path := range g.puts {
		if err := s.sealChange(&b, g, path, pending); err != nil {
			return b, nil, err
		}
	}
	err = s.sealLeaves(&b, g.leaves)
	s.puts = b.Put
	return b, pending, err
}

func (s *Store) sealChange(b *Batch, g *group, path string, pending map[string]pendingEntry) error {
	c, at, generation := g.puts[path], s.keys.engineKey(path), g.generation
	if c.deleted {
		if _, ok := s.census.entries[path]; ok {
			b.Delete = append(b.Delete, at)
			pending[path] = pendingEntry{deleted: true}
		}
		return nil
	}
	if c.version != 0 {
		generation = c.version
	}
	id := recordID{c.class, s.keys.current(c.class), generation}
	sealed, err := s.sealInto(unsealed{id: id, at: at, path: path, value: c.value})
	if err != nil {
		return err
	}
	b.Put = append(b.Put, Pair{at, sealed})
	pending[path] = pendingEntry{entry: entry{id.version, s.keys.suite.Sum(sealed), c.class, id.epoch}}
	return nil
}

// sealLeaves seals the leaves into as few segments as possible.
func (s *Store) sealLeaves(b *Batch, leaves [][]byte) error {
	first := s.head.log.Size
	for len(leaves) > 0 {
		segment, n := appendSegment(s.segment[:0], leaves)
		s.segment = segment
		at := logKey(first + uint64(n) - 1)
		sealed, err := s.sealInto(unsealed{id: recordID{classLog, s.keys.current(classLog), first}, at: at, value: segment})
		if err != nil {
			return err
		}
		b.Put = append(b.Put, Pair{at, sealed})
		first += uint64(n)
		leaves = leaves[n:]
	}
	return nil
}

// sealInto seals into the slab, which the next batch overwrites.
func (s *Store) sealInto(r unsealed) ([]byte, error) {
	start := len(s.slab)
	slab, err := s.sealer.seal(s.slab, s.keys, r)
	if err != nil {
		return nil, err
	}
	s.slab = slab
	return slab[start:len(slab):len(slab)], nil
}

// commitBatch adds the head to b and commits it. pending holds the census entries that b
// changes.
func (s *Store) commitBatch(b Batch, next head, pending map[string]pendingEntry) error {
	next.digest, next.count = s.applied(pending)
	next.synced = s.tip.synced
	head := unsealed{id: recordID{classHead, s.keys.current(classHead), next.generation}, at: []byte(keyHead), value: next.encode(nil)}
	sealed, err := s.sealer.seal(nil, s.keys, head)
	if err != nil {
		return err
	}
	b.Expect = []Expectation{{[]byte(keyHead), s.sealed}}
	b.Put = append(b.Put, Pair{[]byte(keyHead), sealed})
	if b.Size() > s.engine.MaxBatch() {
		return fmt.Errorf("%w: a batch of %d bytes", ErrTooLarge, b.Size())
	}
	s.mu.Lock()
	s.pending = pending
	s.mu.Unlock()
	err = s.step("commit")
	if err == nil {
		err = s.engine.Commit(context.Background(), b)
	}
	if err != nil {
		return s.settle(err)
	}
	checkpoint := next.log.Checkpoint != s.head.log.Checkpoint
	s.land(next, sealed, pending)
	if err := s.writeTip(checkpoint); err != nil {
		return err
	}
	return s.look()
}

// applied returns the digest and count of the census after pending is applied.
func (s *Store) applied(pending map[string]pendingEntry) ([32]byte, uint64) {
	digest, count := s.census.digest, uint64(len(s.census.entries))
	for path, p := range pending {
		if old, ok := s.census.entries[path]; ok {
			toggle(&digest, s.keys, path, old)
			count--
		}
		if !p.deleted {
			toggle(&digest, s.keys, path, p.entry)
			count++
		}
	}
	return digest, count
}
