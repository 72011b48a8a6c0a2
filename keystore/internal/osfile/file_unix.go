//go:build unix

package osfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// SyncDirectory makes the entries of an open directory durable.
func SyncDirectory(d *os.File) error { return d.Sync() }

// SyncPath makes the entries of the directory at a path durable.
func SyncPath(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// SyncAbove makes the entries of the directories above dir durable. It stops at the first
// directory in which this user cannot have made an entry: one that the user may not read,
// or one on a file system that cannot be written or synced.
func SyncAbove(dir string) error {
	for up := filepath.Dir(dir); ; up = filepath.Dir(up) {
		err := SyncPath(up)
		switch {
		case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS), errors.Is(err, unix.EINVAL):
			return nil
		case err != nil || up == filepath.Dir(up):
			return err
		}
	}
}

// Free returns the number of bytes that this user may still write in an open directory.
func Free(dir *os.File) (uint64, error) {
	var s unix.Statfs_t
	if err := retried(func() error { return unix.Fstatfs(int(dir.Fd()), &s) }); err != nil {
		return 0, err
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil
}

// Lock takes the exclusive lock of an open file or directory, without waiting. It returns
// ErrLocked if another open file has the lock. Unlock releases it.
func Lock(f *os.File) error {
	err := retried(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

// Unlock releases the lock. Closing f is not enough: a child process that another goroutine
// has forked, and that has not yet begun its program, has the open file too.
func Unlock(f *os.File) error {
	return retried(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) })
}

// LockDirectory is Lock of an open directory, on systems that lock directories.
func LockDirectory(d *os.File) error { return Lock(d) }

// UnlockDirectory releases the lock of an open directory.
func UnlockDirectory(d *os.File) error { return Unlock(d) }

// retried repeats a system call for as long as a signal interrupts it.
func retried(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// HasOtherName reports whether a file has more than one hard link.
func HasOtherName(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Nlink > 1
}

// A Stamp identifies the file behind a name or handle and has its time of change. The time
// of change of a directory also covers its entries.
type Stamp struct {
	device, inode uint64
	changed       int64 // ns
}

// Changed returns the time of change in nanoseconds.
func (s Stamp) Changed() int64 { return s.changed }

// Same reports whether two stamps are of the same file.
func (s Stamp) Same(o Stamp) bool { return s.device == o.device && s.inode == o.inode }

// StampOf returns the stamp of an open file.
func StampOf(f *os.File) (Stamp, error) {
	var s unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &s)
	return stampFrom(&s), err
}

// StampIn returns the stamp of a name in an open directory, without following a link and
// without its time of change.
func StampIn(dir *os.Root, name string) (Stamp, error) {
	info, err := dir.Lstat(name)
	if err != nil {
		return Stamp{}, err
	}
	s := info.Sys().(*syscall.Stat_t)
	return Stamp{device: uint64(s.Dev), inode: uint64(s.Ino)}, nil
}

// StampAt returns the stamp of the file at a path, following links.
func StampAt(path string) (Stamp, error) {
	var s unix.Stat_t
	err := unix.Stat(path, &s)
	return stampFrom(&s), err
}

func stampFrom(s *unix.Stat_t) Stamp {
	return Stamp{uint64(s.Dev), uint64(s.Ino), s.Ctim.Nano()}
}
