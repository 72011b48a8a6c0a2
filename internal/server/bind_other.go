//go:build !linux

package server

import (
	"io/fs"
	"net"
)

// bindUnix listens on a socket file, whose mode is what the umask leaves.
func bindUnix(path string, _ fs.FileMode) (net.Listener, error) {
	return net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
}
