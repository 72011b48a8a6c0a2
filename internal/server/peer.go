package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"strongroom.example/vault"
)

// ErrPeers reports a system that does not say which user a peer of a Unix socket is.
var ErrPeers = fmt.Errorf("%w: the users of a Unix socket's peers are known on Linux only: use credentials", errors.ErrUnsupported)

// A peerID is the user and the primary group of the process at the other end of a Unix
// socket, as the kernel noted them when it connected.
type peerID struct{ UID, GID uint32 }

// principalKey is the key of the vault.Principal in the context of a request.
type principalKey struct{}

// accepted is the http.Server.ConnContext: it notes the principal of a Unix socket's peer.
func (s *Server) accepted(ctx context.Context, conn net.Conn) context.Context {
	ctx = withConn(ctx, conn)
	unix, ok := conn.(*net.UnixConn)
	if !ok || len(s.cfg.Clients.Peers) == 0 {
		return ctx
	}
	id, err := peerOf(unix)
	if err != nil {
		s.cfg.Logger.Warn("the peer of a connection is not known", "error", err)
		return ctx
	}
	principal, ok := s.cfg.Clients.peer(id)
	if !ok {
		s.cfg.Logger.Warn("a connection of a user without a principal", "uid", id.UID, "gid", id.GID)
		return ctx
	}
	return context.WithValue(ctx, principalKey{}, principal)
}

// peerPrincipal returns the principal that accepted noted.
func peerPrincipal(r *http.Request) (vault.Principal, bool) {
	p, ok := r.Context().Value(principalKey{}).(vault.Principal)
	return p, ok
}
