//go:build !linux

package badger

import (
	"errors"
	"os"
)

// datasync makes a file durable.
func datasync(f *os.File) error { return f.Sync() }

// openDirect fails: there is no such thing, or not with the same promises.
func openDirect(string) (*os.File, error) { return nil, errors.ErrUnsupported }
