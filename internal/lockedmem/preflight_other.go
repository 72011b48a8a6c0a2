//go:build !linux

package lockedmem

func preflight(size int) error { return probe(size) }
