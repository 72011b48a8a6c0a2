//go:build unix

package keystore

import (
	"os"

	"golang.org/x/sys/unix"
)

// stamp is which file a name or handle stands for, and when that file, for a directory
// also its list of names, last changed.
type stamp struct {
	device, inode uint64
	changed       int64 // ns
}

func (s stamp) same(o stamp) bool { return s.device == o.device && s.inode == o.inode }

func stampFrom(s *unix.Stat_t) stamp {
	return stamp{uint64(s.Dev), uint64(s.Ino), s.Ctim.Nano()}
}

// stampOf is the stamp of an open file.
func stampOf(f *os.File) (stamp, error) {
	var s unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &s)
	return stampFrom(&s), err
}

// stampAt is the stamp of a name in the directory.
func (d *directory) stampAt(name string) (stamp, error) {
	var s unix.Stat_t
	err := unix.Fstatat(int(d.self.Fd()), name, &s, unix.AT_SYMLINK_NOFOLLOW)
	return stampFrom(&s), err
}

// stampPath is the stamp of what a path names.
func stampPath(path string) (stamp, error) {
	var s unix.Stat_t
	err := unix.Stat(path, &s)
	return stampFrom(&s), err
}
