// Package lockedmem allocates memory that is locked against swap and excluded from core
// dumps, for key material in use.
package lockedmem

import (
	"errors"
	"fmt"
	"math/bits"
	"sync"
)

const (
	minSlot = 64
	maxSlot = 64 << 10
	classes = 11 // 64, 128, ... 65536
)

var (
	// ErrExhausted reports that the arena's budget, or the system's limit for the
	// process, is used up. Remedies are to free buffers or to raise RLIMIT_MEMLOCK.
	ErrExhausted = errors.New("lockedmem: no more memory may be locked")
	// ErrSize reports a size that is not 1 to 65536 bytes.
	ErrSize = errors.New("lockedmem: a buffer has 1 to 65536 bytes")
	// ErrClosed reports that the arena is closed.
	ErrClosed = errors.New("lockedmem: arena is closed")
)

// An Arena holds locked pages and splits them into buffers. The sizes are powers of two
// from 64 bytes; a buffer is made by halving a larger one. Pages stay locked until Close,
// or until no more memory may be locked and another size is needed. An Arena is safe for
// concurrent use, and prints redacted.
//
// memguard destroys every enclave of the process if it cannot lock a page. Therefore an
// arena never locks the last lockable memory: see [New].
type Arena struct {
	redacted
	max  int
	rank Rank

	mu     sync.Mutex
	chunks []*chunk
	free   [classes][]slot
	locked int
	live   int
	closed bool
}

// New returns an arena that locks at most maxBytes, rounded down to whole pages; 0 means
// as much as the system allows. For any maxBytes the arena leaves 64 KiB lockable, or a
// quarter of RLIMIT_MEMLOCK if that is below 256 KiB. It locks nothing before the first
// Alloc.
func New(maxBytes int) *Arena { return NewRanked(maxBytes, Operations) }

// Process is the arena for memory that belongs to the process and not to a vault. It is
// never closed.
var Process = New(0)

// NewRanked is New for an arena that leaves more lockable memory, according to its rank.
func NewRanked(maxBytes int, r Rank) *Arena { return &Arena{max: maxBytes, rank: r} }

// A Rank states how much lockable memory an arena leaves to others. An arena whose
// callers may allocate without limit must not prevent a short operation from running.
type Rank int

// The ranks, in sixteenths of RLIMIT_MEMLOCK or of 256 KiB, whichever is less, that stay
// lockable.
const (
	// Operations leaves 4 sixteenths. It is for memory that an operation needs while it
	// runs.
	Operations Rank = 4
	// Caches leaves 5 sixteenths. It is for keys that are kept open, and closed when
	// memory is short.
	Caches Rank = 5
	// Callers leaves 6 sixteenths. It is for memory that a caller may hold for any time.
	Callers Rank = 6
)

// Alloc returns a zeroed buffer of n bytes.
//
// Errors:
//   - ErrSize: n is not 1 to 65536.
//   - ErrExhausted: no more memory may be locked.
//   - ErrClosed: the arena is closed.
func (a *Arena) Alloc(n int) (*Buffer, error) {
	if n < 1 || n > maxSlot {
		return nil, ErrSize
	}
	class := classOf(n)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, ErrClosed
	}
	s, err := a.take(class)
	if err != nil {
		return nil, err
	}
	s.of.live++
	a.live++
	return &Buffer{arena: a, slot: s, n: n}, nil
}

// classOf returns the index of the smallest class that holds n bytes.
func classOf(n int) int {
	return bits.Len(uint((max(n, minSlot) - 1) / minSlot))
}

// InUse returns the number of buffers that are not yet freed.
func (a *Arena) InUse() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.live
}

// LockedBytes returns the number of bytes that the arena has locked.
func (a *Arena) LockedBytes() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.locked
}

// Close unlocks and unmaps all pages. If buffers are in use it does nothing and returns
// an error with their number. Closing twice is not an error.
func (a *Arena) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.live > 0 {
		return fmt.Errorf("lockedmem: %d buffers are still in use", a.live)
	}
	a.closed = true
	a.free = [classes][]slot{}
	var errs []error
	for _, c := range a.chunks {
		errs = append(errs, unlockPages(c.pages))
	}
	a.chunks, a.locked = nil, 0
	return errors.Join(errs...)
}

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
