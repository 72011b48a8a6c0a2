//go:build !linux

package osfile

import (
	"errors"
	"os"
	"runtime"
)

// Datasync makes a file durable.
func Datasync(f *os.File) error { return f.Sync() }

// OpenDirect returns ErrUnsupported, because these systems do not bypass their cache with
// the same guarantees.
func OpenDirect(string) (*os.File, error) { return nil, errors.ErrUnsupported }

// HandlePath returns the directory's own path, because these systems have no path that
// names an open directory.
func HandlePath(_ *os.File, plain string) (path string, release func() error) {
	return plain, func() error { return nil }
}

// Yield runs other goroutines.
func Yield() { runtime.Gosched() }
