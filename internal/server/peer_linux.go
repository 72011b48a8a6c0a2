package server

import (
	"net"

	"golang.org/x/sys/unix"
)

const peersSupported = true

// peerOf returns the user and group of a connection's peer (SO_PEERCRED, unix(7)).
func peerOf(c *net.UnixConn) (peerID, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return peerID{}, err
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return peerID{}, err
	}
	if failed != nil {
		return peerID{}, failed
	}
	return peerID{cred.Uid, cred.Gid}, nil
}
