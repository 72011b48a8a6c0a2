package keystore

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// handlePath returns a path that names an open directory wherever the directory is moved,
// and a function that releases it. Without /proc it returns plain, the directory's own
// path. The descriptor is not an os.File, because the garbage collector would close that
// while an engine that failed to close still uses it.
func handlePath(dir *os.File, plain string) (path string, release func() error) {
	fd, err := unix.FcntlInt(dir.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return plain, func() error { return nil }
	}
	release = func() error { return unix.Close(fd) }
	path = "/proc/self/fd/" + strconv.Itoa(fd)
	if !sameFile(path, dir) {
		path = plain
	}
	return path, release
}

// sameFile reports whether a path names an open file.
func sameFile(path string, f *os.File) bool {
	found, errFound := os.Stat(path)
	want, errWant := f.Stat()
	return errFound == nil && errWant == nil && os.SameFile(found, want)
}
