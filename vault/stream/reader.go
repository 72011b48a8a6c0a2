package stream

import (
	"bufio"
	"errors"
	"io"

	"strongroom.example/internal/suite"
)

// A Reader decrypts a stream. It returns only bytes of segments that were authenticated,
// and io.EOF only after the final segment. Before io.EOF the caller has an authenticated
// prefix of the file, which may be truncated. A Reader is not safe for concurrent use. It
// prints redacted.
type Reader struct {
	redacted
	r        *bufio.Reader // holds one sealed segment and one more byte
	segments *segments
	key      DataKey
	buffer   []byte // plaintext of the segment
	rest     []byte // the part of it that was not read yet
	sealed   int    // size of a full sealed segment
	err      error
}

// NewReader reads the header of a stream from r. It calls open with the ciphertext of the
// data key, and returns an error of open unchanged. The key is not used after NewReader has
// returned, and the caller destroys it: through DataKey, or through a reference that open
// kept, which is the only way after an error.
func NewReader(r io.Reader, open func(ciphertext []byte) (DataKey, error)) (*Reader, error) {
	return newReader(r, open, segmentLog2)
}

func newReader(r io.Reader, open func([]byte) (DataKey, error), log2 uint8) (*Reader, error) {
	header, ciphertext, err := readHeader(r, log2)
	if err != nil {
		return nil, err
	}
	key, err := open(append([]byte(nil), ciphertext...))
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, errNoKey
	}
	segments, err := newSegments(header, key)
	if errors.Is(err, errShortKey) { // not ErrInvalid, because the suite byte may have been changed
		return nil, ErrStream
	}
	if err != nil {
		return nil, err
	}
	size := 1 << log2
	return &Reader{r: bufio.NewReaderSize(r, size+suite.Overhead+1), segments: segments, key: key,
		buffer: make([]byte, 0, size), sealed: size + suite.Overhead}, nil
}

// DataKey returns the key that open returned. The reader does not use it any more and does
// not destroy it.
func (r *Reader) DataKey() DataKey { return r.key }

// Read reads plaintext. After io.EOF or an error every later call returns the same error,
// and after Close ErrClosed.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fill()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close wipes the stream's key and the buffered plaintext. Reading to the end or to an
// error also wipes the key. Close does not close the underlying reader.
func (r *Reader) Close() error {
	suite.Wipe(r.buffer[:cap(r.buffer)])
	r.rest = nil
	r.segments.aead.Wipe()
	r.err = ErrClosed // replaces an io.EOF that follows unread bytes, too
	return nil
}

// fill opens the next segment. The last segment of the input must be the final one, which
// its additional data says. Only an empty stream has an empty segment.
func (r *Reader) fill() {
	sealed, err := r.r.Peek(r.sealed + 1)
	final := err == io.EOF
	if err != nil && !final {
		r.finish(err)
		return
	}
	sealed = sealed[:min(len(sealed), r.sealed)]
	first := r.segments.index == 0
	aad, err := r.segments.next(final)
	if err != nil {
		r.finish(err)
		return
	}
	plain, err := r.segments.aead.Open(r.buffer[:0], sealed, aad)
	if err != nil || (len(plain) == 0 && !first) {
		r.finish(ErrStream)
		return
	}
	r.rest = plain
	if final {
		r.finish(io.EOF)
		return
	}
	r.r.Discard(len(sealed)) // cannot fail, because the bytes were peeked
}

func (r *Reader) finish(err error) {
	r.segments.aead.Wipe()
	r.err = err
}
