package osfile

import (
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Datasync makes a file's content durable, without its times.
func Datasync(f *os.File) error {
	return retried(func() error { return unix.Fdatasync(int(f.Fd())) })
}

// OpenDirect opens a file for writing past the system's cache.
func OpenDirect(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|unix.O_DIRECT, 0)
}

// HandlePath returns a path that names an open directory wherever the directory is moved,
// and a function that releases it. Without /proc it returns plain, the directory's own
// path. The descriptor is not an os.File, because the garbage collector would close that
// while an engine that failed to close still uses it.
func HandlePath(dir *os.File, plain string) (path string, release func() error) {
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

// Yield runs other goroutines, and other threads on this processor, because the thread of
// the awaited goroutine may be queued on this processor while another is idle.
func Yield() {
	runtime.Gosched()
	unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
}
