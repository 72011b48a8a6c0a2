//go:build unix

package keystore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// syncDir makes a rename durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// syncAbove makes the names in the directories above dir durable, up to the first one
// in which nothing of this user's can be new: he may not read it, or it is of a file
// system that is not written.
func syncAbove(dir string) error {
	for up := filepath.Dir(dir); ; up = filepath.Dir(up) {
		err := syncDir(up)
		switch {
		case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS), errors.Is(err, unix.EINVAL):
			return nil
		case err != nil || up == filepath.Dir(up):
			return err
		}
	}
}

// freeDisk is the number of bytes this user may still write under dir.
func freeDisk(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil
}

// lockFile takes the exclusive lock of an open file, without waiting.
func lockFile(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrInUse
	}
	return err
}
