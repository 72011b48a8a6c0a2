package lockedmem

import "os"

// memguardPages is how many pages memguard locks for a moment. Of a small
// RLIMIT_MEMLOCK the reserve that arenas leave to others is less.
const memguardPages = 4

// Lockable reports whether the reserve that arenas leave to others can be locked
// now, and as much as memguard needs. Ask before a call into memguard, which destroys
// every enclave of the process if it cannot lock a page, or waits for itself for ever.
func Lockable() bool {
	return preflight(memguardPages*os.Getpagesize(), 0) == nil && preflight(0, Operations) == nil
}
