//go:build !linux

package keystore

import "os"

// handlePath returns the directory's own path, because these systems have no path that
// names an open directory.
func handlePath(_ *os.File, plain string) (path string, release func() error) {
	return plain, func() error { return nil }
}
