package bench

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync makes the file's content durable, but not its times: fdatasync(2).
func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
