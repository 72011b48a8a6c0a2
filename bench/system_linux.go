package bench

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// datasync makes the file's content durable, but not its times: fdatasync(2).
func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// processorTime returns the processor time that this process has used.
func processorTime() time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// openFiles returns the number of files that this process has open, without those below a
// directory.
func openFiles(without string) (n int) {
	const own = "/proc/self/fd"
	entries, err := os.ReadDir(own)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if path, err := os.Readlink(filepath.Join(own, e.Name())); err == nil && !strings.HasPrefix(path, without+"/") {
			n++
		}
	}
	return n
}
