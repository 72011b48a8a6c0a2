package stream

import (
	"bufio"
	"errors"
	"io"

	"strongroom.example/internal/suite"
)

// A Reader opens a stream. It gives out only bytes of segments that were found
// authentic, and io.EOF only after the final one: whoever acts on the bytes before
// io.EOF acts on a beginning of the file. It is not safe for concurrent use. It prints
// redacted.
type Reader struct {
	redacted
	r        *bufio.Reader // holds one sealed segment and one byte more
	segments *segments
	key      DataKey
	buffer   []byte // the segment's plaintext
	rest     []byte // what of it was not yet read
	sealed   int    // size of a full sealed segment
	err      error
}

// NewReader reads the header of a stream from r. It calls open for the data key
// whose ciphertext stands there, and returns open's error as it is. The key is not used
// after that: destroy it, by DataKey or where open kept it, which is the only way after an
// error of NewReader.
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
	if errors.Is(err, errShortKey) { // the suite that was asked for may be a changed byte
		return nil, ErrStream
	}
	if err != nil {
		return nil, err
	}
	size := 1 << log2
	return &Reader{r: bufio.NewReaderSize(r, size+suite.Overhead+1), segments: segments, key: key,
		buffer: make([]byte, 0, size), sealed: size + suite.Overhead}, nil
}

// DataKey returns the key that open returned. The reader needs it no more, and does not
// destroy it.
func (r *Reader) DataKey() DataKey { return r.key }

// Read reads plaintext. After io.EOF or an error every later call returns the same, and
// after Close ErrClosed.
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

// Close wipes the key and the plaintext held. Reading to the end or to an error
// wipes the key too. It does not close the underlying reader.
func (r *Reader) Close() error {
	suite.Wipe(r.buffer[:cap(r.buffer)])
	r.rest = nil
	r.segments.aead.Wipe()
	r.err = ErrClosed // also in the place of an io.EOF that stands behind unread bytes
	return nil
}

// fill opens the next segment. The one with nothing behind it must be the final
// one, which is bound by its AAD; only an empty stream has an empty segment.
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
	r.r.Discard(len(sealed)) // cannot fail: they were just peeked
}

func (r *Reader) finish(err error) {
	r.segments.aead.Wipe()
	r.err = err
}
