package keystore

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// syncDirectory does nothing: Windows has no call that syncs a directory, and NTFS logs
// its renames.
func syncDirectory(*os.File) error { return nil }

// syncAbove does nothing, like syncDirectory.
func syncAbove(string) error { return nil }

// freeDisk returns the number of bytes that this user may still write in the directory.
func (d *directory) freeDisk() (uint64, error) {
	name, err := windows.UTF16PtrFromString(d.path)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(name, &free, nil, nil)
	return free, err
}

// lockFile takes the exclusive lock of an open file, without waiting.
func lockFile(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrInUse
	}
	return err
}

// hasOtherName returns false: on Windows the number of links needs a separate call, and
// the files concerned belong to the user in either case.
func hasOtherName(fs.FileInfo) bool { return false }
