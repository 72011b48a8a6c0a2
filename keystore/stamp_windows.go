package keystore

import (
	"io/fs"
	"os"
)

// stamp is which file a name or handle stands for, and when that file last changed.
type stamp struct {
	info    fs.FileInfo
	changed int64 // ns
}

func (s stamp) same(o stamp) bool { return os.SameFile(s.info, o.info) }

func stampFrom(info fs.FileInfo, err error) (stamp, error) {
	if err != nil {
		return stamp{}, err
	}
	return stamp{info, info.ModTime().UnixNano()}, nil
}

// stampOf is the stamp of an open file.
func stampOf(f *os.File) (stamp, error) { return stampFrom(f.Stat()) }

// stampAt is the stamp of a name in the directory.
func (d *directory) stampAt(name string) (stamp, error) { return stampFrom(d.root.Lstat(name)) }

// stampPath is the stamp of what a path names.
func stampPath(path string) (stamp, error) { return stampFrom(os.Stat(path)) }
