package lockedmem

// A Buffer is a piece of locked memory. It prints redacted under every verb.
type Buffer struct {
	redacted
	arena *Arena
	slot  slot // its bytes are nil once freed
	n     int
}

// Bytes returns the memory itself. It is valid until Free, and nil after that. The caller
// must not retain the slice beyond Free, because the pages may then be unmapped.
func (b *Buffer) Bytes() []byte {
	if b.slot.bytes == nil {
		return nil
	}
	return b.slot.bytes[:b.n:b.n]
}

// Free wipes the memory and returns it to the arena. Freeing twice, or freeing nil, has
// no effect.
func (b *Buffer) Free() {
	if b == nil {
		return
	}
	b.arena.mu.Lock()
	defer b.arena.mu.Unlock()
	s := b.slot
	if s.bytes == nil {
		return
	}
	clear(s.bytes)
	b.arena.put(s)
	b.arena.live--
	s.of.live--
	b.slot = slot{}
}
