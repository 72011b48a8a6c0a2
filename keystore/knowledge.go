package keystore

// knowledge is the state of one record at a generation: the durable entry, and the change
// by a batch in flight. The engine may hold either.
type knowledge struct {
	generation uint64
	durable    entry
	there      bool
	next       pendingEntry
	pending    bool
}

// knowledge returns what is known of path. The caller holds s.mu.
func (s *Store) knowledge(path string) (k knowledge) {
	k.generation = s.head.generation
	k.durable, k.there = s.census.entries[path]
	k.next, k.pending = s.pending[path]
	return k
}

// allows reports whether the engine may hold sealed bytes with this hash.
func (k knowledge) allows(hash [32]byte) bool {
	return k.there && hash == k.durable.hash || k.pending && !k.next.deleted && hash == k.next.hash
}

// allowsNone reports whether the record may be absent from the engine.
func (k knowledge) allowsNone() bool { return !k.there || k.pending && k.next.deleted }
