package server

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// bindUnix listens on a socket file that has no rights beyond mode from its first moment on:
// the kernel makes the file with the mode of the socket (unix(7)), less the umask.
func bindUnix(path string, mode fs.FileMode) (net.Listener, error) {
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), uint32(mode.Perm())) })
		return errors.Join(err, failed)
	}}
	return c.Listen(context.Background(), "unix", path)
}
