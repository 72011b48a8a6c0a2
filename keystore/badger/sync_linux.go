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
