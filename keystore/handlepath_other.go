//go:build !linux

package keystore

import "os"

// handlePath returns the directory's own path: these systems have none that stands for
// an open directory.
func handlePath(_ *os.File, plain string) (path string, release func() error) {
	return plain, func() error { return nil }
}
