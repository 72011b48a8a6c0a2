package lockedmem

// Lockable reports whether the reserve that arenas leave to others can be locked
// now. Ask before a call into memguard, which locks up to four pages for a moment
// and destroys every enclave of the process if it cannot.
func Lockable() bool { return preflight(0, Operations) == nil }
