package stream

import (
	"fmt"
	"io"

	"strongroom.example/internal/suite"
)

// A Writer encrypts the data that is written to it as a stream. It is not safe for
// concurrent use. It prints redacted.
type Writer struct {
	redacted
	w        io.Writer
	segments *segments
	plain    []byte // content of the next segment; its capacity is a full segment
	sealed   []byte
	err      error
}

// NewWriter writes the header of a new stream to w and returns a Writer for its plaintext.
// The stream is complete only after Close. If s is KeySuite, key must be a SuitedKey, such
// as a vault's data key, and the stream has the key's suite. The key may be destroyed once
// NewWriter has returned.
func NewWriter(w io.Writer, s Suite, key DataKey) (*Writer, error) {
	return newWriter(w, s, key, segmentLog2)
}

func newWriter(w io.Writer, s Suite, key DataKey, log2 uint8) (*Writer, error) {
	if key == nil {
		return nil, errNoKey
	}
	if s == KeySuite {
		suited, ok := key.(SuitedKey)
		if !ok {
			return nil, fmt.Errorf("%w: the data key has no suite; name one", ErrInvalid)
		}
		s = suited.StreamSuite()
	}
	header, err := newHeader(s, log2, key.Ciphertext())
	if err != nil {
		return nil, err
	}
	segments, err := newSegments(header, key)
	if err != nil {
		return nil, err
	}
	if err := writeAll(w, header); err != nil {
		segments.aead.Wipe()
		return nil, err
	}
	size := 1 << log2
	return &Writer{w: w, segments: segments, plain: make([]byte, 0, size),
		sealed: make([]byte, 0, size+suite.Overhead)}, nil
}

// Write adds p to the stream. A full segment is written to the underlying writer when more
// data follows. After an error the stream is unusable, and every later call returns that
// error.
func (w *Writer) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 && w.err == nil {
		if len(w.plain) == cap(w.plain) {
			w.flush(false)
			continue
		}
		n := min(len(p), cap(w.plain)-len(w.plain))
		w.plain = append(w.plain, p[:n]...)
		p = p[n:]
		written += n
	}
	return written, w.err
}

// Close writes the final segment, without which a reader rejects the stream, and wipes the
// stream's key. It does not close the underlying writer. It may be called twice.
func (w *Writer) Close() error {
	if w.err == ErrClosed {
		return nil
	}
	if w.err == nil {
		w.flush(true)
	}
	suite.Wipe(w.plain[:cap(w.plain)])
	w.segments.aead.Wipe()
	if w.err != nil {
		return w.err
	}
	w.err = ErrClosed
	return nil
}

// flush seals and writes the present segment.
func (w *Writer) flush(final bool) {
	aad, err := w.segments.next(final)
	if err != nil {
		w.err = err
		return
	}
	if w.sealed, w.err = w.segments.aead.Seal(w.sealed[:0], w.plain, aad); w.err != nil {
		return
	}
	w.plain = w.plain[:0]
	w.err = writeAll(w.w, w.sealed)
}

func writeAll(w io.Writer, p []byte) error {
	n, err := w.Write(p)
	if err == nil && n < len(p) {
		return io.ErrShortWrite
	}
	return err
}
