package lockedmem

import (
	"errors"
	"fmt"
	"os"

	"github.com/awnumar/memcall"
)

// reserve returns how many bytes an arena of the rank leaves lockable.
func (r Rank) reserve(limit uint64) uint64 { return min(256<<10, limit) * uint64(r) / 16 }

// lockPages maps and locks size bytes, a multiple of the page size, if enough stays
// lockable. memcall excludes them from core dumps on systems that support it.
func lockPages(size int, r Rank) ([]byte, error) {
	if err := preflight(size, r); err != nil {
		return nil, err
	}
	return mapLocked(size)
}

func mapLocked(size int) ([]byte, error) {
	pages, err := memcall.Alloc(size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExhausted, err)
	}
	if err := memcall.Lock(pages); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrExhausted, err), memcall.Free(pages))
	}
	return pages, nil
}

// unlockPages wipes, unlocks and unmaps.
func unlockPages(pages []byte) error {
	return errors.Join(memcall.Unlock(pages), memcall.Free(pages))
}

// probe tests by locking whether size bytes and the reserve can be locked together. It
// locks them temporarily, and is used only on systems that do not report the locked
// amount.
func probe(size int, r Rank) error {
	pages, err := mapLocked(size + int(r.reserve(1<<20)))
	if err != nil {
		return err
	}
	return unlockPages(pages)
}

// memguardPages is the number of pages that memguard locks temporarily. Under a small
// RLIMIT_MEMLOCK the reserve of arenas is less than that.
const memguardPages = 4

// Lockable reports whether the reserve that arenas leave, and as much as memguard needs,
// can be locked now. A caller must check it before a call into memguard, which destroys
// every enclave of the process or deadlocks if it cannot lock a page.
func Lockable() bool {
	return preflight(memguardPages*os.Getpagesize(), 0) == nil && preflight(0, Operations) == nil
}
