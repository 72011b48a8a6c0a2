//go:build linux

package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/vault"
	"strongroom.example/vault/tencentkms"
)

// TestBadInput sends requests that are wrong. Each gets a documented error code, and the
// server goes on.
func TestBadInput(t *testing.T) {
	f := newFixture(t)
	now := f.vault.Clock.Now
	good := fmt.Sprintf(`{"KeyId":%q,"Plaintext":"cGxhaW4="}`, f.key)
	for _, c := range []struct {
		name, action, body string
		change             func(*http.Request)
		want               string
	}{
		{"signature", "Encrypt", good, func(r *http.Request) {
			h := r.Header.Get("Authorization")
			r.Header.Set("Authorization", h[:len(h)-1]+map[bool]string{true: "1", false: "0"}[h[len(h)-1] == '0'])
		}, "AuthFailure.SignatureFailure"},
		{"another body", "Encrypt", good, func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(good, "cGxhaW4=", "b3RoZXI=", 1)))
		}, "AuthFailure.SignatureFailure"},
		{"replayed", "Encrypt", good, func(r *http.Request) {
			past := now().Add(-6 * time.Minute)
			r.Header.Set("X-TC-Timestamp", fmt.Sprint(past.Unix()))
			f.tcp.Sign(r, []byte(good), past)
		}, "AuthFailure.SignatureExpire"},
		{"replayed with another time", "Encrypt", good, func(r *http.Request) {
			r.Header.Set("X-TC-Timestamp", fmt.Sprint(now().Add(time.Minute).Unix()))
		}, "AuthFailure.SignatureFailure"},
		{"no signature", "Encrypt", good, func(r *http.Request) { r.Header.Del("Authorization") }, "AuthFailure.InvalidAuthorization"},
		{"unknown action", "EncryptAll", good, nil, "InvalidAction"},
		{"no action", "", good, nil, "MissingParameter"},
		{"half JSON", "Encrypt", good[:len(good)-3], nil, "InvalidParameter"},
		{"no object", "Encrypt", `[1]`, nil, "InvalidParameter"},
		{"deep JSON", "Encrypt", strings.Repeat("[", 100_000), nil, "InvalidParameter"},
		{"not UTF-8", "Encrypt", "\xff\xfe", nil, "InvalidParameter"},
		{"10 MB", "Encrypt", `{"Plaintext":"` + strings.Repeat("A", 10<<20) + `"}`, nil, "RequestSizeLimitExceeded"},
		{"10 MB in chunks", "Encrypt", `{"Plaintext":"` + strings.Repeat("A", 10<<20) + `"}`, func(r *http.Request) { r.ContentLength = -1 }, "RequestSizeLimitExceeded"},
	} {
		r, err := f.tcp.Request(t.Context(), c.action, []byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if c.change != nil {
			c.change(r)
		}
		r.GetBody = nil // no second attempt
		if got := code(f.tcp.Do(r, nil)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if err := f.encrypt(t.Context(), f.tcp); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestBadHTTP sends what is not HTTP, or too long for a header.
func TestBadHTTP(t *testing.T) {
	f := newFixture(t)
	for name, text := range map[string]string{
		"noise":       "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 no HTTP\r\n\r\n",
		"long header": "POST / HTTP/1.1\r\nHost: v\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n",
		"two lengths": "POST / HTTP/1.1\r\nHost: v\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"HTTP/2":      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		c, err := net.Dial("tcp", f.address)
		if err != nil {
			t.Fatal(err)
		}
		go io.WriteString(c, text) // fails when the server closes the connection
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		answer, err := io.ReadAll(c)
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Errorf("%s: the server neither responds nor closes the connection", name)
		}
		if bytes.Contains(answer, []byte(" 200 ")) && !bytes.Contains(answer, []byte(`"Code":"UnsupportedProtocol"`)) {
			t.Errorf("%s: %.100q", name, answer)
		}
		c.Close()
	}
	if err := f.encrypt(t.Context(), f.tcp); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestExpectContinue sends headers of bodies that are refused without being read. The client
// waits for a response before it sends the body, and the server must not wait for the body.
func TestExpectContinue(t *testing.T) {
	f := newFixture(t)
	for name, header := range map[string]string{
		"too long":             "X-TC-Action: Encrypt\r\nContent-Type: application/json\r\nContent-Length: 300000\r\n",
		"too long, AWS":        "X-Amz-Target: TrentService.Encrypt\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: 300000\r\n",
		"another content type": "X-TC-Action: Encrypt\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n",
		"chunked":              "X-TC-Action: Encrypt\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n",
	} {
		for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
			if expect == "" && !strings.HasPrefix(name, "too long") {
				continue // net/http reads the rest of a body of up to 256 KiB
			}
			c, err := net.Dial("tcp", f.address)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: v\r\n"+header+expect+"\r\n"); err != nil {
				t.Fatal(err)
			}
			c.SetReadDeadline(time.Now().Add(20 * time.Second))
			response, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Errorf("%s, %q: no response: %v", name, expect, err)
			} else if response.Body.Close(); response.StatusCode < 200 || !response.Close {
				t.Errorf("%s, %q: %s, and the connection stays open", name, expect, response.Status)
			}
			c.Close()
		}
	}
}

// TestIdleConnections opens 10,000 connections that send nothing, or as many as the limit of
// file descriptors permits. Requests go on beside them, and the server keeps to its limit.
func TestIdleConnections(t *testing.T) {
	const most = 256
	f := newFixture(t, func(c *Config) { c.Limits.Connections = most })
	n := 10_000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	// The server's ends of at most most connections, and those of the vault, need some too.
	if room := int(limit.Max) - 4*most; room < n {
		n = room
		t.Logf("the limit of file descriptors is %d: %d connections", limit.Max, n)
	}
	var idle []net.Conn
	defer func() {
		for _, c := range idle {
			c.Close()
		}
	}()
	for i := range n {
		var c net.Conn
		var err error
		poll.Until(t, "the queue of the socket has room", func() bool {
			c, err = net.Dial("unix", f.socket)
			return !errors.Is(err, syscall.EAGAIN)
		})
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		idle = append(idle, c)
		if i%1000 == 0 {
			if err := f.encrypt(t.Context(), f.unix); err != nil {
				t.Errorf("beside %d idle connections: %v", i, err)
			}
		}
	}
	began := time.Now()
	if err := f.encrypt(t.Context(), f.unix); err != nil {
		t.Errorf("beside %d idle connections: %v", n, err)
	}
	took := time.Since(began)
	poll.Until(t, "the server has accepted all", func() bool { return f.conns.closed() >= int64(n-most) })
	if open := f.conns.open(); open > most {
		t.Errorf("%d connections are open, the limit is %d", open, most)
	}
	t.Logf("%d idle connections, of which %d were closed; a request beside them took %v", n, f.conns.closed(), took)
}

// The beginning of a request, and of one whose body is not whole.
const (
	slowHead = "POST / HTTP/1.1\r\nHost: vault\r\nContent-Type: application/json\r\nX-TC-Action: Encrypt\r\nX-TC-Version: " + tencentkms.Version + "\r\n"
	slowBody = slowHead + "Content-Length: 1000\r\n\r\n{"
)

// TestSlowClients has clients that send a part of a header or of a body, or send nothing. The
// server closes their connections in time. The times leave room for a client of a busy machine
// to send a part.
func TestSlowClients(t *testing.T) {
	f := newFixture(t, func(c *Config) {
		c.Limits = Limits{Header: 3 * time.Second, Request: 4 * time.Second, Idle: 3 * time.Second}
	})
	var clients sync.WaitGroup
	for name, text := range map[string]string{"nothing": "", "half a header": slowHead, "half a body": slowBody} {
		clients.Go(func() {
			c, err := net.Dial("unix", f.socket)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			began := time.Now()
			c.SetReadDeadline(began.Add(poll.Limit))
			io.WriteString(c, text)
			answer, err := io.ReadAll(c)
			if ne, ok := err.(net.Error); ok && ne.Timeout() || time.Since(began) > 20*time.Second {
				t.Errorf("%s: the connection is open after %v", name, time.Since(began))
			}
			if text == slowBody && !bytes.Contains(answer, []byte("InvalidParameter")) {
				t.Errorf("%s: %q, want InvalidParameter", name, answer)
			}
		})
	}
	clients.Wait()
}

// TestManySlowClients has more clients that send half a body than the server permits
// connections. They do not keep others out, although none of them reaches its limit of time.
func TestManySlowClients(t *testing.T) {
	const most = 8
	f := newFixture(t, func(c *Config) {
		c.Limits = Limits{Connections: most, Header: time.Hour, Request: time.Hour, Idle: time.Hour}
	})
	for range 3 * most {
		c, err := net.Dial("unix", f.socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, slowBody)
	}
	if err := f.encrypt(t.Context(), f.unix); err != nil {
		t.Errorf("beside %d slow clients: %v", 3*most, err)
	}
}

// TestClientThatDoesNotRead sends requests and reads no response. The server ends.
func TestClientThatDoesNotRead(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Limits.Response = 300 * time.Millisecond })
	c, err := net.Dial("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	request := "POST / HTTP/1.1\r\nHost: vault\r\nContent-Type: application/json\r\nX-TC-Action: GetServiceStatus\r\nX-TC-Version: " + tencentkms.Version + "\r\nContent-Length: 2\r\n\r\n{}"
	c.SetWriteDeadline(time.Now().Add(20 * time.Second))
	for err == nil {
		_, err = io.WriteString(c, strings.Repeat(request, 100))
	}
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Errorf("the connection is still open: %v", err)
	}
}

// TestShutdown ends the server while clients encrypt. Each request either has its whole
// response and its audit record, or fails; none hangs.
func TestShutdown(t *testing.T) {
	f := newFixture(t)
	var done, all sync.WaitGroup
	var mu sync.Mutex
	acknowledged := make(map[string]bool)
	var running atomic.Int64
	stop := make(chan struct{})
	for range 8 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var out struct {
					CiphertextBlob string
					RequestID      string `json:"RequestId"`
				}
				err := f.unix.Call(context.Background(), "Encrypt", map[string]string{"KeyId": f.key, "Plaintext": "cGxhaW4="}, &out)
				if err != nil {
					return
				}
				running.Add(1)
				mu.Lock()
				acknowledged[out.RequestID] = true
				mu.Unlock()
			}
		})
	}
	poll.Until(t, "requests run", func() bool { return running.Load() > 200 })
	done.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), poll.Limit)
		defer cancel()
		if err := f.Server.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	done.Wait()
	close(stop)
	all.Wait()
	recorded := make(map[string]bool)
	for r, err := range f.vault.As(vault.DefaultOwner).AuditRecords(t.Context(), audit.Filter{Operation: "Encrypt", Result: audit.OK}) {
		if err != nil {
			t.Fatal(err)
		}
		recorded[r.RequestID] = true
	}
	lost := 0
	for id := range acknowledged {
		if !recorded[id] {
			lost++
		}
	}
	if lost > 0 || len(recorded) > len(acknowledged) {
		t.Errorf("%d responses, %d records, %d responses without a record", len(acknowledged), len(recorded), lost)
	}
	t.Logf("%d requests had a response, and all have a record", len(acknowledged))
	if _, err := net.Dial("unix", f.socket); err == nil {
		t.Error("the socket still accepts connections")
	}
}

// TestShutdownWithSlowClients does not wait for clients whose request has not arrived.
func TestShutdownWithSlowClients(t *testing.T) {
	f := newFixture(t)
	for _, text := range []string{"", "POST / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nHost: v\r\nContent-Length: 10\r\n\r\n{"} {
		c, err := net.Dial("unix", f.socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, text)
	}
	poll.Until(t, "the connections are open", func() bool { return f.conns.open() >= 3 })
	ctx, cancel := context.WithTimeout(t.Context(), 2*poll.Limit)
	defer cancel()
	began := time.Now()
	if err := f.Server.Shutdown(ctx); err != nil || time.Since(began) > 20*time.Second {
		t.Errorf("Shutdown took %v: %v", time.Since(began), err)
	}
}

// TestConnectionsAreBounded fills the server with requests that are processed, which are never
// closed for others.
func TestConnectionsAreBounded(t *testing.T) {
	c := newConnections(2)
	var ends []net.Conn
	open := func() net.Conn {
		near, far := net.Pipe()
		ends = append(ends, near)
		c.state(far, http.StateNew)
		return far
	}
	defer func() {
		for _, e := range ends {
			e.Close()
		}
	}()
	one, two := open(), open()
	c.state(one, http.StateActive)
	c.arrived(one)
	three := open() // two has waited longest
	if c.open() != 2 || c.all[two] != nil || c.all[one] == nil {
		t.Errorf("the wrong connection was closed: %d are open", c.open())
	}
	c.state(two, http.StateClosed) // late, as net/http reports it
	c.state(three, http.StateActive)
	c.arrived(three)
	open() // nothing waits but the new one
	if c.open() != 2 || c.all[one] == nil || c.all[three] == nil || c.closed() != 2 {
		t.Errorf("a request in flight was closed: %d are open, %d were closed", c.open(), c.closed())
	}
	c.state(one, http.StateIdle)
	open()
	if c.all[one] != nil || c.all[three] == nil {
		t.Error("an idle connection kept a new one out")
	}
	c.state(three, http.StateIdle)
	open() // the earlier new one never had a request
	if c.all[three] == nil || c.open() != 2 {
		t.Error("a connection that had a request was closed before one that had none")
	}
}

// TestRequestOfClosedConnection closes connections for the limit when their requests were read,
// and not yet noted. These have no end, so that no operation is done that has no response.
func TestRequestOfClosedConnection(t *testing.T) {
	for name, x := range map[string]struct {
		body   func() io.Reader
		length int64
	}{
		"a body whose end is known with its last bytes": {func() io.Reader { return iotest.DataErrReader(strings.NewReader("{}")) }, 2},
		"a chunked body": {func() io.Reader { return strings.NewReader("{}") }, -1},
		"no body":        {nil, 0},
	} {
		for _, evicted := range []bool{false, true} {
			c := newConnections(1)
			near, far := net.Pipe()
			defer near.Close()
			c.state(far, http.StateNew)
			if evicted {
				c.closeWaiting()
			}
			r, err := http.NewRequestWithContext(withConn(t.Context(), far), "POST", "http://vault", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Body = http.NoBody
			if x.body != nil {
				r.Body = io.NopCloser(x.body())
			}
			body, open := c.body(r)
			if x.length >= 0 { // as the handlers read a body
				_, err = io.ReadFull(body, make([]byte, x.length))
			} else {
				_, err = io.ReadAll(body)
			}
			if done := open && err == nil; done == evicted {
				t.Errorf("%s of a connection that was closed (%v): processed %v, %v", name, evicted, done, err)
			}
		}
	}
}

// A counted is a connection that counts what is written.
type counted struct {
	net.Conn
	writes, closed atomic.Int64
}

func (c *counted) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

func (c *counted) Close() error {
	c.closed.Add(1)
	return c.Conn.Close()
}

// TestEvictedTLSIsNotWrittenTo closes a TLS connection for the limit. A client that does not
// read must not delay the others, so that nothing is written to it.
func TestEvictedTLSIsNotWrittenTo(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	config, err := TLSConfig(key, filepath.Join(t.TempDir(), "cert.pem"), []string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	defer near.Close()
	beneath := &counted{Conn: far}
	secure := tls.Server(beneath, config)
	roots := x509.NewCertPool()
	own, err := config.GetCertificate(&tls.ClientHelloInfo{Conn: far})
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(own.Leaf)
	client := tls.Client(near, &tls.Config{RootCAs: roots, ServerName: "localhost"})
	shaken := make(chan error, 1)
	go func() {
		_, err := client.Write([]byte("x")) // shakes hands first
		shaken <- err
	}()
	go io.Copy(io.Discard, client) // the session tickets
	if _, err := secure.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	c := newConnections(1)
	c.state(secure, http.StateNew)
	beneath.writes.Store(0)
	other, end := net.Pipe()
	defer other.Close()
	c.state(end, http.StateNew)
	if c.open() != 1 || beneath.closed.Load() != 1 || beneath.writes.Load() != 0 {
		t.Errorf("%d connections are open, one was closed %d times and written to %d times", c.open(), beneath.closed.Load(), beneath.writes.Load())
	}
}
