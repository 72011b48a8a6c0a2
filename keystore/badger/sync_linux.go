package badger

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync makes a file's content durable, without its times.
func datasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}

// openDirect opens a file for writing past the system's cache.
func openDirect(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|unix.O_DIRECT, 0)
}
