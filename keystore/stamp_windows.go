package keystore

import (
	"io/fs"
	"os"
)

// stamp identifies the file behind a name or handle and has its time of change.
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

// stampOf returns the stamp of an open file.
func stampOf(f *os.File) (stamp, error) { return stampFrom(f.Stat()) }

// stampAt returns the stamp of a name in the directory, without following a link.
func (d *directory) stampAt(name string) (stamp, error) { return stampFrom(d.root.Lstat(name)) }

// stampPath returns the stamp of the file at a path, following links.
func stampPath(path string) (stamp, error) { return stampFrom(os.Stat(path)) }
