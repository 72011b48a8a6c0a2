//go:build unix

package keystore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// syncDirectory makes the entries of an open directory durable.
func syncDirectory(d *os.File) error { return d.Sync() }

// syncAbove makes the entries of the directories above dir durable. It stops at the first
// directory in which this user cannot have made an entry: one that the user may not read,
// or one on a file system that cannot be written or synced.
func syncAbove(dir string) error {
	for up := filepath.Dir(dir); ; up = filepath.Dir(up) {
		err := syncPath(up)
		switch {
		case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS), errors.Is(err, unix.EINVAL):
			return nil
		case err != nil || up == filepath.Dir(up):
			return err
		}
	}
}

func syncPath(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// freeDisk returns the number of bytes that this user may still write in the directory.
func (d *directory) freeDisk() (uint64, error) {
	var s unix.Statfs_t
	if err := retried(func() error { return unix.Fstatfs(int(d.self.Fd()), &s) }); err != nil {
		return 0, environment("find the free space of", d.path, err)
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil
}

// lockFile takes the exclusive lock of an open file, without waiting.
func lockFile(f *os.File) error {
	err := retried(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrInUse
	}
	return err
}

// retried repeats a system call for as long as a signal interrupts it.
func retried(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// hasOtherName reports whether a file has more than one hard link.
func hasOtherName(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Nlink > 1
}
