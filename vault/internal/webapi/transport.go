package webapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"

	"strongroom.example/internal/suite"
)

// IsMediaType reports whether the content of a request is of a media type, with parameters or
// without.
func IsMediaType(r *http.Request, media string) bool {
	declared := r.Header.Get("Content-Type")
	if declared == media {
		return true
	}
	declared, _, err := mime.ParseMediaType(declared)
	return err == nil && declared == media
}

// Transport returns an http.RoundTripper that passes requests to h in the same process,
// without a network. h responds by Respond. Closing the body of a response wipes it. The only
// error is that of the request's context.
func Transport(h http.Handler) http.RoundTripper { return transport{h} }

type transport struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	switch {
	case in.Body == nil:
		in.Body = http.NoBody
	case in.ContentLength == 0 && in.Body != http.NoBody:
		in.ContentLength = -1 // a client's request has 0 for an unknown length too
	}
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	in.RequestURI = r.URL.RequestURI()
	w := &recorder{header: make(http.Header), status: http.StatusOK}
	t.handler.ServeHTTP(w, in)
	if err := r.Context().Err(); err != nil {
		suite.Wipe(w.body)
		return nil, err
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, ContentLength: int64(len(w.body)), Request: r,
		Body: &wipedBody{Reader: bytes.NewReader(w.body), body: w.body},
	}, nil
}

// A recorder is the http.ResponseWriter of a transport.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

func (r *recorder) Header() http.Header    { return r.header }
func (r *recorder) WriteHeader(status int) { r.status = status }

func (r *recorder) Write(b []byte) (int, error) {
	if r.body == nil {
		n, _ := strconv.Atoi(r.header.Get("Content-Length"))
		r.body = make([]byte, 0, max(n, len(b)))
	}
	r.body = append(r.body, b...)
	return len(b), nil
}

// A wipedBody is the body of a response, which Close wipes.
type wipedBody struct {
	io.Reader
	body []byte
}

func (b *wipedBody) Close() error {
	suite.Wipe(b.body)
	b.Reader = bytes.NewReader(nil)
	return nil
}

// The errors of ReadBody.
var (
	ErrTooLong    = errors.New("the body of the request is too long")
	ErrIncomplete = errors.New("the body of the request could not be read to its end")
)

// ReadBody reads the body of a request, at most limit bytes, into one buffer, which the caller
// wipes, also after an error. It does not read a body whose declared length is above limit.
// Errors: ErrTooLong, ErrIncomplete.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, ErrTooLong
	}
	size := r.ContentLength
	if size < 0 { // a chunked body, whose length is not known: one byte more shows that it is too long
		size = limit + 1
	}
	body := make([]byte, size)
	n, err := io.ReadFull(http.MaxBytesReader(w, r.Body, limit), body)
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return body, ErrTooLong
	case r.ContentLength < 0 && (err == io.EOF || err == io.ErrUnexpectedEOF):
		return body[:n], nil
	case err != nil:
		return body, ErrIncomplete
	}
	return body[:n], nil
}
