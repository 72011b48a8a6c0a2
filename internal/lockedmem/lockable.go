package lockedmem

import "os"

// memguardPages is the number of pages that memguard locks temporarily. Under a small
// RLIMIT_MEMLOCK the reserve of arenas is less than that.
const memguardPages = 4

// Lockable reports whether the reserve that arenas leave, and as much as memguard needs,
// can be locked now. A caller must check it before a call into memguard, which destroys
// every enclave of the process or deadlocks if it cannot lock a page.
func Lockable() bool {
	return preflight(memguardPages*os.Getpagesize(), 0) == nil && preflight(0, Operations) == nil
}
