// Package osfile contains the calls on files and directories that differ between operating
// systems: locks, syncs, free space, and the identity of a file.
package osfile

import "errors"

// ErrLocked reports that another open file has the lock.
var ErrLocked = errors.New("osfile: the file is locked")
