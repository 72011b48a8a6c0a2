package server

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
)

// connections keeps the number of open connections at a limit. Above it, it closes a
// connection that waits for its client: one that is idle, or whose request has not arrived to
// its end. So neither idle connections nor slow clients keep others out. A connection that
// never had a request is closed before one that had, and otherwise the one that has waited
// longest.
type connections struct {
	most int

	mu      sync.Mutex
	all     map[net.Conn]*connection
	fresh   list.List // of *connection: those that wait and never had a request
	waiting list.List // of *connection: the others that wait; in both the longest wait is first
	evicted int64
}

// A connection is one of connections.
type connection struct {
	net.Conn
	in   *list.List // nil while its request is processed
	wait *list.Element
}

// leave takes a connection out of its list.
func (k *connection) leave() {
	if k.in != nil {
		k.in.Remove(k.wait)
		k.in, k.wait = nil, nil
	}
}

// enter puts a connection at the end of a list.
func (k *connection) enter(l *list.List) {
	k.leave()
	k.in, k.wait = l, l.PushBack(k)
}

func newConnections(most int) *connections {
	return &connections{most: most, all: make(map[net.Conn]*connection)}
}

// state is the http.Server.ConnState.
func (c *connections) state(conn net.Conn, s http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.all[conn]
	switch {
	case s == http.StateNew:
		k = &connection{Conn: conn}
		c.all[conn] = k
		k.enter(&c.fresh)
		for len(c.all) > c.most && c.evict() {
		}
	case k == nil: // it was closed for the limit
	case s == http.StateActive:
		if k.in != nil { // its first byte is here
			k.enter(k.in)
		}
	case s == http.StateIdle:
		k.enter(&c.waiting)
	default:
		c.remove(k)
	}
}

// evict closes a connection that waits, and reports whether there is one. The newest one is
// the last choice, because new clients would stay out otherwise.
func (c *connections) evict() bool {
	e := c.fresh.Front()
	if c.fresh.Len() == 1 && c.waiting.Len() > 0 || e == nil {
		e = c.waiting.Front()
	}
	if e == nil {
		return false
	}
	k := e.Value.(*connection)
	c.remove(k)
	c.evicted++
	k.cut()
	return true
}

// cut closes a connection without a word to its client: tls.Conn.Close writes, and can wait five
// seconds for a client that does not read, while all others wait for the lock.
func (k *connection) cut() {
	if secure, ok := k.Conn.(*tls.Conn); ok {
		secure.NetConn().Close()
		return
	}
	k.Close()
}

func (c *connections) remove(k *connection) {
	k.leave()
	delete(c.all, k.Conn)
}

// arrived notes that a connection's request is there, and will be processed. It reports false if
// the connection was closed before: the request could have no response.
func (c *connections) arrived(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.all[conn]
	if k != nil {
		k.leave()
	}
	return k != nil
}

// closeWaiting closes the connections whose request is not there.
func (c *connections) closeWaiting() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.evict() {
	}
}

// open returns the number of open connections.
func (c *connections) open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

// closed returns the number of connections that were closed for the limit.
func (c *connections) closed() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.evicted
}

// connKey is the key of the net.Conn in the context of a request.
type connKey struct{}

// errClosed is the error of a body whose connection was closed before its end was read. It is no
// end of a file, because a reader takes that for the end of a body whose length is not declared.
var errClosed = errors.New("the connection was closed before the end of the request")

// body returns the body of a request, which notes its end, and fails with errClosed if the
// connection was closed. open reports false for a request without a body whose connection was.
func (c *connections) body(r *http.Request) (body io.ReadCloser, open bool) {
	conn, ok := r.Context().Value(connKey{}).(net.Conn)
	if !ok {
		return r.Body, true
	}
	if r.Body == http.NoBody {
		return r.Body, c.arrived(conn)
	}
	return &notingBody{r.Body, func() bool { return c.arrived(conn) }}, true
}

// withConn returns a context that holds conn.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// A notingBody calls ended at the end of the body, or at an error. If ended returns false, the
// body is not whole.
type notingBody struct {
	io.ReadCloser
	ended func() bool
}

// Read implements io.Reader.
func (b *notingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !b.ended() {
		return 0, errClosed // without the bytes, which could be all that the reader waits for
	}
	return n, err
}
