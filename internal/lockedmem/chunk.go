package lockedmem

import (
	"fmt"
	"os"
	"slices"
)

// A chunk is a run of locked pages, split into slots.
type chunk struct {
	pages []byte
	live  int // slots in use
}

// A slot is the memory of one buffer.
type slot struct {
	bytes []byte
	of    *chunk
}

// put adds a slot to the free slots.
func (a *Arena) put(s slot) {
	class := classOf(len(s.bytes))
	a.free[class] = append(a.free[class], s)
}

// pop removes and returns a free slot of a class, if there is one.
func (a *Arena) pop(class int) (s slot, ok bool) {
	last := len(a.free[class]) - 1
	if last < 0 {
		return s, false
	}
	s = a.free[class][last]
	a.free[class] = a.free[class][:last]
	return s, true
}

// take returns a slot of a class: a free one, half of a larger one that is at most a
// page, or one of new pages.
func (a *Arena) take(class int) (slot, error) {
	if s, ok := a.fit(class); ok {
		return s, nil
	}
	for _, c := range a.chunks {
		if c.live == 0 && len(c.pages) == os.Getpagesize() {
			a.join(c)
		}
	}
	if s, ok := a.fit(class); ok {
		return s, nil
	}
	s, err := a.grow(class)
	return a.halve(s, class), err
}

// fit removes and returns the smallest free slot that holds the class and is at most a
// page.
func (a *Arena) fit(class int) (s slot, ok bool) {
	for larger := class; larger <= max(class, classOf(os.Getpagesize())); larger++ {
		if s, ok = a.pop(larger); ok {
			return a.halve(s, class), true
		}
	}
	return s, false
}

// halve splits a slot down to a class. The remainders become free.
func (a *Arena) halve(s slot, class int) slot {
	for n := len(s.bytes) / 2; n >= minSlot<<class; n /= 2 {
		a.put(slot{s.bytes[n : 2*n : 2*n], s.of})
		s.bytes = s.bytes[:n:n]
	}
	return s
}

// grow locks a new chunk, which is one slot.
func (a *Arena) grow(class int) (s slot, err error) {
	pages, err := a.lock(max(minSlot<<class, os.Getpagesize()))
	if err != nil {
		return s, err
	}
	c := &chunk{pages: pages}
	a.chunks = append(a.chunks, c)
	a.locked += len(pages)
	return slot{pages[:len(pages):len(pages)], c}, nil
}

// join makes one free slot of a whole chunk, none of whose buffers is in use.
func (a *Arena) join(c *chunk) {
	a.withdraw(c)
	a.put(slot{c.pages[:len(c.pages):len(c.pages)], c})
}

// withdraw removes the slots of a chunk from the free slots.
func (a *Arena) withdraw(c *chunk) {
	for class := range a.free {
		a.free[class] = slices.DeleteFunc(a.free[class], func(s slot) bool { return s.of == c })
	}
}

// lock locks more pages. If no more may be locked, it releases unused chunks first.
func (a *Arena) lock(size int) (pages []byte, err error) {
	for {
		if a.max > 0 && a.locked+size > a.max {
			err = fmt.Errorf("%w: the arena's limit is %d bytes", ErrExhausted, a.max)
		} else if pages, err = lockPages(size, a.rank); err == nil {
			return pages, nil
		}
		if idle := a.idle(); idle == nil || a.release(idle) != nil {
			return nil, err
		}
	}
}

// idle returns a chunk without buffers, or nil.
func (a *Arena) idle() *chunk {
	for _, c := range a.chunks {
		if c.live == 0 {
			return c
		}
	}
	return nil
}

// release unlocks and unmaps a chunk. Its slots were wiped when they were freed.
func (a *Arena) release(c *chunk) error {
	a.withdraw(c)
	a.chunks = slices.DeleteFunc(a.chunks, func(other *chunk) bool { return other == c })
	a.locked -= len(c.pages)
	return unlockPages(c.pages)
}
