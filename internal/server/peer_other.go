//go:build !linux

package server

import "net"

const peersSupported = false

// peerOf fails: this system does not name the peer.
func peerOf(*net.UnixConn) (peerID, error) { return peerID{}, ErrPeers }
