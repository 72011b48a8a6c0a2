package lockedmem

import (
	"fmt"
	"os"
	"slices"
)

// A chunk is pages that are locked, cut into slots of one size.
type chunk struct {
	pages []byte
	class int
	live  int // slots in use
}

// A slot is the memory of one buffer.
type slot struct {
	bytes []byte
	of    *chunk
}

// grow locks one more chunk and cuts it into slots of the class.
func (a *Arena) grow(class int) error {
	size := minSlot << class
	pages, err := a.lock(max(size, os.Getpagesize()))
	if err != nil {
		return err
	}
	c := &chunk{pages: pages, class: class}
	a.chunks = append(a.chunks, c)
	a.locked += len(pages)
	for ; len(pages) > 0; pages = pages[size:] {
		a.free[class] = append(a.free[class], slot{pages[:size:size], c})
	}
	return nil
}

// lock locks more pages. If there may be no more, chunks that nobody uses give theirs.
func (a *Arena) lock(size int) (pages []byte, err error) {
	for {
		if a.max > 0 && a.locked+size > a.max {
			err = fmt.Errorf("%w: the arena's limit is %d bytes", ErrExhausted, a.max)
		} else if pages, err = lockPages(size); err == nil {
			return pages, nil
		}
		if idle := a.idle(); idle == nil || a.release(idle) != nil {
			return nil, err
		}
	}
}

// idle is a chunk without a buffer, nil if there is none.
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
	a.free[c.class] = slices.DeleteFunc(a.free[c.class], func(s slot) bool { return s.of == c })
	a.chunks = slices.DeleteFunc(a.chunks, func(other *chunk) bool { return other == c })
	a.locked -= len(c.pages)
	return unlockPages(c.pages)
}
