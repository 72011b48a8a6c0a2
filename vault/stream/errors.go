package stream

import "errors"

// Errors of this package. Errors of the underlying reader, writer and data key are returned
// unchanged.
var (
	// ErrStream is the one error for every fault of a stream: it is changed, truncated,
	// reordered, spliced, extended, or under another key.
	ErrStream = errors.New("stream: not an authentic stream; it was changed or cut, or belongs to another key")
	// ErrClosed is returned by Write and Read after Close.
	ErrClosed = errors.New("stream: closed")
	// ErrInvalid is returned for a suite, data key or ciphertext that the format does not
	// allow, and for a stream of more than 2^32 segments.
	ErrInvalid = errors.New("stream: invalid argument")
)
