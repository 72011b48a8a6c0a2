package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"strongroom.example/internal/testing/kmsclient"
)

// message returns the bytes of a request.
func message(contentType, header, body string) []byte {
	return fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: vault\r\nContent-Type: %s\r\n%s\r\nContent-Length: %d\r\n\r\n%s", contentType, header, len(body), body)
}

// tencent returns the request by the API of Tencent Cloud.
func (s *served) tencent() []byte {
	return message("application/json", "X-TC-Action: Encrypt\r\nX-TC-Version: 2019-01-18", s.body)
}

// aws returns the request by the API of AWS.
func (s *served) aws() []byte {
	return message("application/x-amz-json-1.1", "X-Amz-Target: TrentService.Encrypt", s.body)
}

// prepared writes a request again and again. A caller has a connection of its own as long as a
// call lasts.
func prepared(b *testing.B, socket string, request []byte) act {
	var free pool
	b.Cleanup(free.close)
	return func(context.Context, []byte) error {
		w, err := free.take(socket)
		if err != nil {
			return err
		}
		if err := w.call(request); err != nil {
			return errors.Join(err, w.Close())
		}
		free.put(w)
		return nil
	}
}

// A pool has the connections that no caller uses.
type pool struct {
	mu   sync.Mutex
	free []*wire
}

func (p *pool) take(socket string) (*wire, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		w := p.free[n-1]
		p.free = p.free[:n-1]
		return w, nil
	}
	c, err := net.Dial("unix", socket)
	return &wire{Conn: c}, err
}

func (p *pool) put(w *wire) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, w)
}

func (p *pool) close() {
	for _, w := range p.free {
		w.Close()
	}
}

// A wire is a connection with the buffer for its responses.
type wire struct {
	net.Conn
	in [4096]byte
}

var errResponse = errors.New("the response is not one of a success with a length")

// call writes a request, and reads the response into the buffer.
func (w *wire) call(request []byte) error {
	if _, err := w.Write(request); err != nil {
		return err
	}
	for n := 0; n < len(w.in); {
		m, err := w.Read(w.in[n:])
		if err != nil {
			return err
		}
		n += m
		header, body, whole := bytes.Cut(w.in[:n], []byte("\r\n\r\n"))
		if !whole {
			continue
		}
		_, rest, _ := bytes.Cut(header, []byte("Content-Length: "))
		length, _, _ := bytes.Cut(rest, []byte("\r"))
		size, err := strconv.Atoi(string(length))
		if err != nil || !bytes.HasPrefix(header, []byte("HTTP/1.1 200 ")) {
			return errResponse
		}
		if len(body) == size {
			return checkBody(body)
		}
	}
	return errResponse
}

// checkBody returns an error unless the body is that of a success.
func checkBody(body []byte) error {
	if bytes.Contains(body, []byte(`"Error"`)) {
		return errResponse
	}
	return nil
}

// goClient calls Encrypt by a client of net/http, and does not decode the response.
func goClient(b *testing.B, socket, body string) act {
	client := kmsclient.Unix(socket, 128)
	b.Cleanup(client.HTTP.CloseIdleConnections)
	return func(ctx context.Context, dst []byte) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://vault/", strings.NewReader(body))
		if err != nil {
			return err
		}
		r.Header = http.Header{"Content-Type": {"application/json"}, "X-Tc-Action": {"Encrypt"}, "X-Tc-Version": {"2019-01-18"}}
		response, err := client.HTTP.Do(r)
		if err != nil {
			return ended(ctx, err)
		}
		defer response.Body.Close()
		n, err := io.ReadFull(response.Body, dst[:min(int64(cap(dst)), max(0, response.ContentLength))])
		if err == nil && (response.StatusCode != http.StatusOK || n == 0) {
			err = errResponse
		}
		if err == nil {
			err = checkBody(dst[:n])
		}
		return ended(ctx, err)
	}
}

// ended returns err, or the error of a context that has ended.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
