// Package lockedmem gives out memory that is locked against swap and left out of
// core dumps, for key material in use.
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
	// ErrExhausted: the arena's budget, or what the system lets a process lock, is
	// used up. Free buffers, or raise RLIMIT_MEMLOCK.
	ErrExhausted = errors.New("lockedmem: no more memory may be locked")
	// ErrSize: a buffer has 1 to 65536 bytes.
	ErrSize = errors.New("lockedmem: a buffer has 1 to 65536 bytes")
	// ErrClosed: the arena was closed.
	ErrClosed = errors.New("lockedmem: arena is closed")
)

// An Arena holds locked pages and cuts buffers from them, in sizes that are powers
// of two from 64 bytes, by halving what is larger. Pages stay locked until Close, or until
// all that may be locked is and another size is wanted. It is safe for concurrent use, and
// prints redacted.
//
// memguard destroys every enclave of the process when it cannot lock a page. So an
// arena never takes the last of what may be locked: see [New].
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

// New returns an arena that locks at most maxBytes, rounded down to pages; 0 means
// as much as the system allows. Whatever maxBytes is, 64 KiB, or a quarter of
// RLIMIT_MEMLOCK where that is below 256 KiB, stay lockable for others. Nothing is
// locked before the first Alloc.
func New(maxBytes int) *Arena { return NewRanked(maxBytes, Operations) }

// Process is the arena of what belongs to the process and to no vault. It is never closed.
var Process = New(0)

// NewRanked is New for an arena that leaves more to others, by its rank.
func NewRanked(maxBytes int, r Rank) *Arena { return &Arena{max: maxBytes, rank: r} }

// A Rank says how much lockable memory an arena leaves to others: an arena whose callers
// can take as much as they like must not keep a short operation from working.
type Rank int

// The ranks, in sixteenths of RLIMIT_MEMLOCK, or of 256 KiB where that is less, that stay
// lockable.
const (
	// Operations leave 4: what an operation needs while it runs.
	Operations Rank = 4
	// Caches leave 5: keys that are kept open, and closed when memory is short.
	Caches Rank = 5
	// Callers leave 6: what a caller holds for as long as it likes.
	Callers Rank = 6
)

// Alloc returns a zeroed buffer of n bytes, 1 to 64 KiB (else ErrSize). If no more
// memory may be locked the error is ErrExhausted.
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

// InUse returns the number of buffers not yet freed.
func (a *Arena) InUse() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.live
}

// LockedBytes returns how much the arena keeps locked.
func (a *Arena) LockedBytes() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.locked
}

// Close unlocks and unmaps all pages. While buffers are live it does nothing but
// return an error that says how many. Closing twice is fine.
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
