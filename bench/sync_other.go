//go:build !linux

package bench

import "os"

// datasync makes the file durable. Other systems have no portable fdatasync.
func datasync(f *os.File) error { return f.Sync() }
