package osfile

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// SyncDirectory does nothing: Windows has no call that syncs a directory, and NTFS logs
// its renames.
func SyncDirectory(*os.File) error { return nil }

// SyncPath does nothing, like SyncDirectory.
func SyncPath(string) error { return nil }

// SyncAbove does nothing, like SyncDirectory.
func SyncAbove(string) error { return nil }

// Free returns the number of bytes that this user may still write in an open directory.
func Free(dir *os.File) (uint64, error) {
	name, err := windows.UTF16PtrFromString(dir.Name())
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(name, &free, nil, nil)
	return free, err
}

// Lock takes the exclusive lock of an open file, without waiting. It returns ErrLocked if
// another open file has the lock. Unlock releases it.
func Lock(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}

// Unlock releases the lock.
func Unlock(f *os.File) error {
	return windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, new(windows.Overlapped))
}

// LockDirectory does nothing: Windows locks files only.
func LockDirectory(*os.File) error { return nil }

// UnlockDirectory does nothing, like LockDirectory.
func UnlockDirectory(*os.File) error { return nil }

// HasOtherName returns false: on Windows the number of links needs a separate call, and
// the files concerned belong to the user in either case.
func HasOtherName(fs.FileInfo) bool { return false }

// A Stamp identifies the file behind a name or handle and has its time of change.
type Stamp struct {
	info    fs.FileInfo
	changed int64 // ns
}

// Changed returns the time of change in nanoseconds.
func (s Stamp) Changed() int64 { return s.changed }

// Same reports whether two stamps are of the same file.
func (s Stamp) Same(o Stamp) bool { return os.SameFile(s.info, o.info) }

// StampOf returns the stamp of an open file.
func StampOf(f *os.File) (Stamp, error) { return stampFrom(f.Stat()) }

// StampIn returns the stamp of a name in an open directory, without following a link.
func StampIn(dir *os.Root, name string) (Stamp, error) { return stampFrom(dir.Lstat(name)) }

// StampAt returns the stamp of the file at a path, following links.
func StampAt(path string) (Stamp, error) { return stampFrom(os.Stat(path)) }

func stampFrom(info fs.FileInfo, err error) (Stamp, error) {
	if err != nil {
		return Stamp{}, err
	}
	return Stamp{info, info.ModTime().UnixNano()}, nil
}
