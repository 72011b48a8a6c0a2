package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"strongroom.example/internal/suite"
	"strongroom.example/keystore/internal/census"
	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/head"
	"strongroom.example/keystore/internal/journal"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/record"
	"strongroom.example/keystore/internal/segment"
)

// change is a staged put, or a delete if deleted is set.
type change struct {
	redacted
	value   []byte
	class   keyring.Class
	version uint64 // 0: the generation of the group
	deleted bool
}

// Tx is the overlay of one operation over the store. It is valid only while the operation
// runs. An operation may be run again on a fresh Tx if its group has to be split.
type Tx struct {
	redacted
	group  *group
	puts   map[string]change
	leaves []func(seq uint64) []byte
	// durable: see OnDurable.
	durable []func()
	err     error
}

// Version returns the version that Get would return for path, 0 if it is absent.
func (t *Tx) Version(path string) uint64 {
	if c, ok := t.staged(path); ok {
		if c.deleted {
			return 0
		}
		return t.group.generation
	}
	return t.group.store.Version(path)
}

func (t *Tx) staged(path string) (change, bool) {
	if c, ok := t.puts[path]; ok {
		return c, true
	}
	c, ok := t.group.puts[path]
	return c, ok
}

// Put stages a record of class Meta. The value is copied. A path or value over its limit
// makes the operation fail with ErrTooLarge.
func (t *Tx) Put(path string, value []byte) { t.put(path, value, Meta) }

// PutMaterial stages a record of class Material, with the same limits as Put. Once the
// record is deleted in a ChangeEpoch, no old copy of the engine's directory opens it.
func (t *Tx) PutMaterial(path string, value []byte) { t.put(path, value, Material) }

func (t *Tx) put(path string, value []byte, class Class) {
	if path == "" || len(path) > MaxPath || len(value) > MaxValue {
		t.err = fmt.Errorf("%w: a path has 1 to %d bytes, a value up to %d", ErrTooLarge, MaxPath, MaxValue)
		return
	}
	t.set(path, change{value: append([]byte(nil), value...), class: keyring.Class(class)})
}

// Delete stages the removal of path. An absent path is not an error.
func (t *Tx) Delete(path string) { t.set(path, change{deleted: true}) }

func (t *Tx) set(path string, c change) {
	if t.puts == nil {
		t.puts = map[string]change{}
	}
	suite.Wipe(t.puts[path].value)
	t.puts[path] = c
}

// Log appends one record to the audit log. encode gets the record's sequence number and
// returns its bytes; it runs in the goroutine that commits, after the operation, each time that the
// operation is staged.
func (t *Tx) Log(encode func(seq uint64) []byte) { t.leaves = append(t.leaves, encode) }

// OnDurable makes the goroutine that commits call f once the batch of the operation is durable in the
// engine: before readers see the batch, before Commit returns, and before the next batch is
// staged. f must not block or use the store. If the batch fails, f is not called.
func (t *Tx) OnDurable(f func()) { t.durable = append(t.durable, f) }

// group holds the changes that the committer has staged for one batch: gathered by fill,
// committed by commitGroup.
type group struct {
	redacted
	ctx        context.Context
	store      *Store
	generation uint64
	puts       map[string]change
	leaves     [][]byte
	durable    []func()       // see Tx.OnDurable
	shorter    []record.Plain // segments of which a cut removed the first leaves
	size       int            // estimate of the batch
}

func (s *Store) newGroup() *group {
	return &group{
		ctx: context.Background(), store: s, generation: s.head.Generation + 1,
		puts: map[string]change{}, size: groupOverhead,
	}
}

// groupOverhead is the number of bytes that the head and the segments add to a batch.
const groupOverhead = 16*record.Overhead + head.MaxSize

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
		g.size += record.Overhead + len(path) + len(c.value)
	}
	for _, l := range leaves {
		g.size += segment.MaxStep + len(l)
	}
	g.leaves = append(g.leaves, leaves...)
	g.durable = append(g.durable, t.durable...)
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
	next := t.group.store.head.Log.Size + uint64(len(t.group.leaves))
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

// commitGroup makes one batch of the group and the next head, calls writeBatch with it, and
// takes the result over into memory, journal and tip. next is the present head, in which the
// caller has set the root hashes and the epoch if it changes the root file; commitGroup sets the
// other fields. If neither the group nor the root hashes change anything, it commits nothing.
func (s *Store) commitGroup(g *group, next head.Head) error {
	if g.empty() && next.RootHash == s.head.RootHash && next.NextRoot == s.head.NextRoot && s.sealedHead != nil {
		return nil
	}
	next.Generation = g.generation
	if len(g.leaves) > 0 || next.Log.Size == 0 {
		ext, err := s.cfg.Log.Extend(LogState(next.Log), g.leaves)
		if err != nil {
			return err
		}
		next.Log = head.LogState(ext.State)
		for _, p := range ext.Put {
			g.puts[p.Path] = change{value: p.Value}
		}
	}
	b, pending, err := s.sealGroup(g)
	if err != nil {
		return err
	}
	next.Digest, next.Count = s.census.After(s.keys, pending)
	next.Synced = s.tip.Synced()
	// A group that only adds to the audit log has no entry in the journal. Encrypt is such an
	// operation unless it counts the use of a grant or uses approvals up.
	inJournal := s.journal != nil && (!s.journalEntry.Empty() || next.RootHash != s.head.RootHash || next.NextRoot != s.head.NextRoot || next.Epoch != s.head.Epoch)
	if inJournal {
		if next.Journal, err = s.prepareJournal(next); err != nil {
			return err
		}
	}
	sealed, err := s.addHead(&b, next)
	if err != nil {
		return err
	}
	if err := s.writeBatch(b, pending); err != nil {
		return err
	}
	for _, f := range g.durable {
		f()
	}
	checkpoint := next.Log.Checkpoint != s.head.Log.Checkpoint
	s.applyInMemory(next, sealed, pending)
	if inJournal {
		if err := s.journalCommitted(); err != nil {
			return err
		}
	}
	if err := s.writeTip(checkpoint); err != nil {
		return err
	}
	_ = s.look() // the batch is durable: only what made the store fail closed matters
	return s.Failed()
}

// sealGroup seals each change of the group as a record, packs its leaves into audit segments
// and seals those, and returns them as a batch without the head, with the census entries that
// the batch changes. It also fills s.journalEntry with the changes that the journal needs. The
// batch uses buffers that the next call overwrites.
func (s *Store) sealGroup(g *group) (b Batch, pending map[string]census.Change, err error) {
	s.slab = s.slab[:0]
	b.Put = s.puts[:0]
	s.journalEntry = journal.Entry{Put: s.journalEntry.Put[:0], Deleted: s.journalEntry.Deleted[:0]}
	pending = make(map[string]census.Change, len(g.puts))
	for path := range g.puts {
		if err := s.sealChange(&b, g, path, pending); err != nil {
			return b, nil, err
		}
	}
	err = s.sealLeaves(&b, g.leaves)
	for _, u := range g.shorter {
		sealed, sealErr := s.sealInto(u)
		b.Put, err = append(b.Put, Pair{u.Key, sealed}), errors.Join(err, sealErr)
	}
	s.puts = b.Put
	return b, pending, err
}

func (s *Store) sealChange(b *Batch, g *group, path string, pending map[string]census.Change) error {
	c, at, generation := g.puts[path], record.Key(s.keys, path), g.generation
	if c.deleted {
		if _, ok := s.census.Entries[path]; ok {
			b.Delete = append(b.Delete, at)
			if journaled(path) {
				s.journalEntry.Deleted = append(s.journalEntry.Deleted, at)
			}
			pending[path] = census.Change{Deleted: true}
		}
		return nil
	}
	if c.version != 0 {
		generation = c.version
	}
	sealed, err := s.sealInto(record.Plain{Class: c.class, Version: generation, Key: at, Path: path, Value: c.value})
	if err != nil {
		return err
	}
	b.Put = append(b.Put, Pair{at, sealed})
	if journaled(path) {
		s.journalEntry.Put = append(s.journalEntry.Put, journal.Pair{Key: at, Value: sealed})
	}
	pending[path] = census.Change{Entry: census.Entry{
		Version: generation, Hash: s.keys.Suite().Sum(sealed), Class: c.class, Epoch: s.keys.Current(c.class),
	}}
	return nil
}

// sealLeaves packs the leaves into as few audit segments as possible and seals each of them.
func (s *Store) sealLeaves(b *Batch, leaves [][]byte) error {
	first := s.head.Log.Size
	for len(leaves) > 0 {
		packed, n := segment.Append(s.segment[:0], leaves)
		s.segment = packed
		at := record.LogKey(first + uint64(n) - 1)
		sealed, err := s.sealInto(record.Plain{Class: keyring.Log, Version: first, Key: at, Value: packed})
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
func (s *Store) sealInto(r record.Plain) ([]byte, error) {
	start := len(s.slab)
	slab, err := record.Seal(s.slab, s.keys, r)
	if err != nil {
		return nil, err
	}
	s.slab = slab
	return slab[start:len(slab):len(slab)], nil
}

// addHead seals the head as a record, adds it to the batch, and returns it. The batch expects
// the former head, so that it fails with ErrConflict if anything else wrote to the engine.
func (s *Store) addHead(b *Batch, next head.Head) ([]byte, error) {
	plain := record.Plain{Class: keyring.Head, Version: next.Generation, Key: []byte(record.HeadKey), Value: next.Append(nil)}
	sealed, err := record.Seal(nil, s.keys, plain)
	if err != nil {
		return nil, err
	}
	b.Expect = []Expectation{{[]byte(record.HeadKey), s.sealedHead}}
	b.Put = append(b.Put, Pair{[]byte(record.HeadKey), sealed})
	return sealed, nil
}

// writeBatch makes the batch durable in the engine, which is package keystore/badger unless
// Config has another. pending holds the census entries that the batch changes.
func (s *Store) writeBatch(b Batch, pending map[string]census.Change) error {
	if b.Size() > s.engine.MaxBatch() {
		return fmt.Errorf("%w: a batch of %d bytes", ErrTooLarge, b.Size())
	}
	s.mu.Lock()
	s.pending = pending
	s.mu.Unlock()
	err := s.step("commit")
	if err == nil {
		err = s.engineError(s.engine.Commit(context.Background(), b))
	}
	if err != nil {
		return s.settle(err)
	}
	return nil
}

// applyInMemory updates the store's state in memory after a batch has become durable.
func (s *Store) applyInMemory(next head.Head, sealed []byte, pending map[string]census.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path, p := range pending {
		if p.Deleted {
			delete(s.census.Entries, path)
			s.listed.Remove(path)
		} else {
			s.census.Entries[path] = p.Entry
			s.listed.Add(path)
		}
	}
	s.census.Digest, s.pending = next.Digest, nil
	s.head, s.sealedHead = next, sealed
}

// writeTip writes the tip of the current head, and syncs it at once if sync is set. A
// shortage makes it try once more; the second try writes the whole slot again, so that
// its sync does not rely on what the first one left. The batch is already durable, so
// any other error, and the second, makes the store fail closed.
func (s *Store) writeTip(sync bool) error {
	err := s.tryTip(sync)
	if fault.IsShortage(err) {
		err = s.tryTip(sync)
	}
	if err != nil {
		return s.fail(err)
	}
	return nil
}

func (s *Store) tryTip(sync bool) error {
	err := s.step("tip")
	if err == nil {
		err = s.tip.Write(s.keys, s.head.Tip())
	}
	if err == nil && sync {
		err = s.tip.Sync()
	}
	return err
}

// look returns ErrReplaced, and the store fails closed, if the directory or a file in it
// is not the one that the store has open. It runs before a commit is acknowledged. Unless an
// entry of a directory has changed, it makes three system calls, about a microsecond in all.
func (s *Store) look() error {
	if err := s.dir.IsHere(); err != nil {
		return s.displaced(err)
	}
	if s.names.Quiet() && s.engineNames.Quiet() {
		return nil
	}
	return s.lookClosely()
}

// settle decides on the store's state after a failed commit. If the head in the engine is
// unchanged, the batch was not applied and the store continues. Otherwise, and if the
// engine has become unavailable, the store fails closed, because the batch may be there
// after the next Open.
func (s *Store) settle(cause error) error {
	now, err := s.getSealed(context.Background(), []byte(record.HeadKey))
	unchanged := err == nil && bytes.Equal(now, s.sealedHead) || errors.Is(err, ErrNotFound) && s.sealedHead == nil
	if !unchanged || errors.Is(cause, ErrUnavailable) {
		return s.fail(cause)
	}
	s.mu.Lock()
	s.pending = nil
	s.mu.Unlock()
	return fmt.Errorf("keystore: commit: %w", cause)
}
