// Package clients runs official clients of cloud APIs against the project's handlers, and keeps
// the tables of their results in the documents. The modules that link the clients use it.
package clients

import (
	"bytes"
	"io"
	"net/http"
	"sync"
)

// A Ledger notes the result of each operation that a client called: "" for success, or the error
// code. A success stays, whatever the other calls return.
type Ledger struct {
	mu      sync.Mutex
	results map[string]string
}

// Note notes one result.
func (b *Ledger) Note(op, code string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.results == nil {
		b.results = make(map[string]string)
	}
	if former, called := b.results[op]; !called || former != "" {
		b.results[op] = code
	}
}

// Succeeded returns the operations that succeeded.
func (b *Ledger) Succeeded() (ops []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for op, code := range b.results {
		if code == "" {
			ops = append(ops, op)
		}
	}
	return ops
}

// Cell returns the result of an operation for a table.
func (b *Ledger) Cell(op string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch code, called := b.results[op]; {
	case !called:
		return None
	case code == "":
		return "yes"
	default:
		return "`" + code + "`"
	}
}

// A Watch is a transport or handler that notes results.
type Watch struct {
	Next http.RoundTripper
	Book *Ledger
	// Result returns the operation of a request, and the error code in the body of its response.
	Result func(r *http.Request, body []byte) (op, code string)
}

// RoundTrip implements http.RoundTripper.
func (w *Watch) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := w.Next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	w.Book.Note(w.Result(r, body))
	return response, err
}

// ServeHTTP passes a request of another process on.
func (w *Watch) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	response, err := w.RoundTrip(r)
	if err != nil {
		return // the client has gone
	}
	for name, values := range response.Header {
		out.Header()[name] = values
	}
	out.WriteHeader(response.StatusCode)
	io.Copy(out, response.Body)
}
