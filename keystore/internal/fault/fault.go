// Package fault has the errors of package keystore, which exports and documents them, for the
// packages inside it, and the conversion of system errors into them.
package fault

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
)

// The errors of package keystore.
var (
	ErrNoStore     = errors.New("keystore: no store")
	ErrExists      = errors.New("keystore: a store exists")
	ErrInUse       = errors.New("keystore: in use")
	ErrUnlock      = errors.New("keystore: the root does not unlock this store")
	ErrCorrupt     = errors.New("keystore: corrupt")
	ErrRolledBack  = errors.New("keystore: rolled back")
	ErrFull        = errors.New("keystore: disk full")
	ErrNotFound    = errors.New("keystore: not found")
	ErrCut         = errors.New("keystore: removed by a cut of the log")
	ErrLost        = errors.New("keystore: lost before a repair")
	ErrConflict    = errors.New("keystore: conflict")
	ErrTooLarge    = errors.New("keystore: too large")
	ErrClosed      = errors.New("keystore: closed")
	ErrUnfinished  = errors.New("keystore: a past material key or root file is not yet destroyed")
	ErrDirectory   = errors.New("keystore: the directory cannot be used")
	ErrReplaced    = errors.New("keystore: moved, replaced or removed while open")
	ErrUnavailable = errors.New("keystore: unavailable until reopened")
)

// environmentFaults maps system errors to an error of this package and a remedy. The
// first row that lists the error number applies.
var environmentFaults = []struct {
	kind   error
	remedy string
	codes  []syscall.Errno
}{
	{ErrFull, "make room, or raise the quota; files and inodes count as well as bytes",
		[]syscall.Errno{syscall.ENOSPC, syscall.EDQUOT}},
	{ErrDirectory, "the file system is mounted read-only: remount it for writing, or copy the directory to a place that can be written",
		[]syscall.Errno{syscall.EROFS}},
	{ErrDirectory, "the user of this program must own the directory and everything in it, and must be able to write there",
		[]syscall.Errno{syscall.EACCES, syscall.EPERM}},
	{ErrDirectory, "the file system does not lock files (NFS without its lock service, a FUSE file system): use a local one",
		[]syscall.Errno{syscall.ENOLCK, syscall.ENOSYS, syscall.EOPNOTSUPP, syscall.ENOTSUP}},
	{ErrDirectory, "the file system does not sync files as a store needs it: use a local one",
		[]syscall.Errno{syscall.EINVAL}},
	{ErrDirectory, "the process or the system has too many files open: raise RLIMIT_NOFILE",
		[]syscall.Errno{syscall.EMFILE, syscall.ENFILE}},
	{ErrDirectory, "a file may not grow as large as the store needs: raise RLIMIT_FSIZE",
		[]syscall.Errno{syscall.EFBIG}},
	{ErrDirectory, "the system has too little memory",
		[]syscall.Errno{syscall.ENOMEM}},
	{ErrDirectory, "the disk, or the server of the file system, reports a fault: look into the system's log",
		[]syscall.Errno{syscall.EIO, syscall.ESTALE, syscall.ENXIO, syscall.ENODEV, syscall.EBUSY, syscall.EINTR}},
}

// shortages are the system errors of a resource that is missing for a time.
var shortages = []error{ErrFull, syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM}

// IsShortage reports whether err is that of a missing resource: disk space, descriptors or
// memory. The failed operation may succeed later.
func IsShortage(err error) bool {
	return slices.ContainsFunc(shortages, func(s error) bool { return errors.Is(err, s) })
}

// classified are the errors that Environment returns unchanged.
var classified = []error{
	ErrNoStore, ErrExists, ErrInUse, ErrUnlock, ErrCorrupt, ErrRolledBack, ErrFull, ErrNotFound,
	ErrConflict, ErrTooLarge, ErrClosed, ErrUnfinished, ErrUnavailable, ErrDirectory, ErrReplaced,
}

// Environment converts a system error from an action on a path into ErrFull or
// ErrDirectory, with the path and the remedy in the text. It returns other errors, and
// those that have an error of this package already, unchanged.
func Environment(doing, path string, err error) error {
	var code syscall.Errno
	if err == nil || slices.ContainsFunc(classified, func(c error) bool { return errors.Is(err, c) }) || !errors.As(err, &code) {
		return err
	}
	for _, f := range environmentFaults {
		if slices.Contains(f.codes, code) {
			return fmt.Errorf("%w: cannot %s %s: %w; %s", f.kind, doing, path, err, f.remedy)
		}
	}
	return fmt.Errorf("%w: cannot %s %s: %w", ErrDirectory, doing, path, err)
}
