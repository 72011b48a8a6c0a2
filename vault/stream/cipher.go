package stream

import (
	"encoding/binary"
	"errors"
	"fmt"

	"strongroom.example/internal/redact"
	"strongroom.example/internal/suite"
)

// Errors of this package. Errors of the underlying reader, writer and data key are returned
// unchanged.
var (
	// ErrStream is the one error for every fault of a stream: it is changed, truncated,
	// reordered, spliced, extended, or under another key.
	ErrStream = errors.New("stream: not authentic; it was changed or truncated, or belongs to another key")
	// ErrClosed is returned by Write and Read after Close.
	ErrClosed = errors.New("stream: closed")
	// ErrInvalid is returned for a suite, data key or ciphertext that the format does not
	// allow, and for a stream of more than 2^32 segments.
	ErrInvalid = errors.New("stream: invalid argument")
)

// A DataKey is the interface through which a stream uses a data key. The key is at least as
// long as the suite's cipher key: 32 bytes for AES256GCM, 16 for AES128GCM and SM4GCM. A
// stream uses it once, in NewWriter or NewReader; after that it may be destroyed.
type DataKey interface {
	// Ciphertext returns the data key as encrypted by its vault, at most 65535 bytes. The
	// header of the stream contains it.
	Ciphertext() []byte
	// Use calls f with the plaintext of the key, which is valid until f returns.
	Use(f func(key []byte) error) error
}

// A SuitedKey is a data key that determines the suite of its streams. A vault's data keys
// do, by the vault's edition and the key's size.
type SuitedKey interface {
	DataKey
	StreamSuite() Suite
}

const maxSegments = 1 << 32 // under one key, with random nonces (SP 800-38D)

// segments seals or opens the segments of one stream, in order.
type segments struct {
	aead  *suite.AEAD
	aad   []byte // header hash ‖ index ‖ final
	index uint64
}

var (
	errShortKey = fmt.Errorf("%w: the data key is too short", ErrInvalid)
	errNoKey    = fmt.Errorf("%w: the data key is nil", ErrInvalid)
)

// newSegments derives the key of the stream with the given encoded header.
func newSegments(header []byte, key DataKey) (*segments, error) {
	l := layouts[Suite(header[suiteAt])]
	id := l.id
	if !id.Usable() {
		return nil, fmt.Errorf("%w: this process enforces FIPS 140, which does not allow %v", ErrInvalid, id)
	}
	hash := id.Hash(header)
	s := &segments{aad: append(hash[:], make([]byte, 9)...)}
	err := key.Use(func(secret []byte) error {
		if len(secret) < l.keySize {
			return fmt.Errorf("%w: the data key has %d bytes, this suite needs %d; use KeySuite", errShortKey, len(secret), l.keySize)
		}
		derived := suite.NewSecret(l.keySize)
		defer suite.Wipe(derived)
		id.KDF(derived, secret, l.keyLabel, hash[:])
		var err error
		s.aead, err = id.NewDataAEAD(derived)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// next returns the additional data of the present segment and advances to the next.
func (s *segments) next(final bool) ([]byte, error) {
	if s.index >= maxSegments {
		return nil, fmt.Errorf("%w: more than 2^32 segments", ErrInvalid)
	}
	binary.BigEndian.PutUint64(s.aad[suite.HashSize:], s.index)
	s.aad[suite.HashSize+8] = 0
	if final {
		s.aad[suite.HashSize+8] = 1
	}
	s.index++
	return s.aad, nil
}

// redacted makes a struct that embeds it print redacted.
type redacted = redact.Secret
