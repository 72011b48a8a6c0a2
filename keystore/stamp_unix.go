//go:build unix

package keystore

import (
	"os"

	"golang.org/x/sys/unix"
)

// stamp identifies the file behind a name or handle and has its time of change. The time
// of change of a directory also covers its entries.
type stamp struct {
	device, inode uint64
	changed       int64 // ns
}

func (s stamp) same(o stamp) bool { return s.device == o.device && s.inode == o.inode }

func stampFrom(s *unix.Stat_t) stamp {
	return stamp{uint64(s.Dev), uint64(s.Ino), s.Ctim.Nano()}
}

// stampOf returns the stamp of an open file.
func stampOf(f *os.File) (stamp, error) {
	var s unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &s)
	return stampFrom(&s), err
}

// stampAt returns the stamp of a name in the directory, without following a link.
func (d *directory) stampAt(name string) (stamp, error) {
	var s unix.Stat_t
	err := unix.Fstatat(int(d.self.Fd()), name, &s, unix.AT_SYMLINK_NOFOLLOW)
	return stampFrom(&s), err
}

// stampPath returns the stamp of the file at a path, following links.
func stampPath(path string) (stamp, error) {
	var s unix.Stat_t
	err := unix.Stat(path, &s)
	return stampFrom(&s), err
}
