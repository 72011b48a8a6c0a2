package keystore

// knowledge is what the store knows of one record at a generation: what is durable,
// and what a batch under way makes of it. Either may be in the engine.
type knowledge struct {
	generation uint64
	durable    entry
	there      bool
	next       pendingEntry
	pending    bool
}

// knowledge of path. The caller holds s.mu.
func (s *Store) knowledge(path string) (k knowledge) {
	k.generation = s.head.generation
	k.durable, k.there = s.census.entries[path]
	k.next, k.pending = s.pending[path]
	return k
}

// allows tells whether sealed bytes with this hash may be in the engine.
func (k knowledge) allows(hash [32]byte) bool {
	return k.there && hash == k.durable.hash || k.pending && !k.next.deleted && hash == k.next.hash
}

// allowsNone tells whether the engine may have no record.
func (k knowledge) allowsNone() bool { return !k.there || k.pending && k.next.deleted }
