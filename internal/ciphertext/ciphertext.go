// Package ciphertext implements the vault's ciphertext format: header, key derivation and
// commitment. It has no access to keys, devices or clocks.
//
// A ciphertext commits to its key and its encryption context: it is infeasible to make
// one that opens under two keys, or in two contexts. docs/formats.md specifies the bytes.
package ciphertext

import (
	"encoding/binary"
	"errors"

	"strongroom.example/internal/suite"
)

// Sizes in bytes.
const (
	// MaxPlaintext is the longest plaintext of one ciphertext.
	MaxPlaintext = 4096
	// HeaderSize is the size of the header at the beginning of each ciphertext.
	HeaderSize = 58
	// Overhead is how much longer a ciphertext is than its plaintext: header, commitment,
	// nonce and tag.
	Overhead = HeaderSize + commitSize + suite.Overhead
	// MaxContext is the longest canonical encryption context.
	MaxContext = 8192
	// RootSize is the size of the PRF's output.
	RootSize = 32

	commitSize = 32
)

var (
	// ErrFormat reports bytes that are not a ciphertext of this format.
	ErrFormat = errors.New("ciphertext: not in a known format")
	// ErrOpen reports a ciphertext that does not open. It does not distinguish another
	// key, another context and changed bytes.
	ErrOpen = errors.New("ciphertext: does not open under this key and context")
	// ErrContext reports an encryption context that is not valid UTF-8, has an empty name
	// or is too long.
	ErrContext = errors.New("ciphertext: encryption context is not valid")
	// ErrTooLarge reports a plaintext longer than MaxPlaintext.
	ErrTooLarge = errors.New("ciphertext: plaintext is longer than 4096 bytes")
	// ErrInvalid reports an invalid header or root of the caller.
	ErrInvalid = errors.New("ciphertext: header or root is not valid")
)

// magic is the name of the format followed by its number.
const magic = "SRC\x01"

// A Header identifies the key of a ciphertext. It does not identify the key's driver.
type Header struct {
	Suite suite.ID
	// KeyID is the CMK's id.
	KeyID [16]byte
	// Version is the key version, at least 1.
	Version uint32
	// Salt is fresh for each ciphertext. The message key is derived from it.
	Salt [32]byte
}

// append appends the HeaderSize bytes of the header.
func (h Header) append(dst []byte) []byte {
	dst = append(dst, magic...)
	dst = append(dst, byte(h.Suite), 0)
	dst = append(dst, h.KeyID[:]...)
	dst = binary.BigEndian.AppendUint32(dst, h.Version)
	return append(dst, h.Salt[:]...)
}

func (h Header) valid() bool { return h.Suite.Valid() && h.Version > 0 }

// Parse parses the header of a ciphertext and checks the ciphertext's size. It does not
// authenticate it; only Open does. Every fault is ErrFormat.
func Parse(ct []byte) (Header, error) {
	if len(ct) < Overhead || len(ct) > Overhead+MaxPlaintext || string(ct[:4]) != magic || ct[5] != 0 {
		return Header{}, ErrFormat
	}
	h := Header{
		Suite:   suite.ID(ct[4]),
		KeyID:   [16]byte(ct[6:22]),
		Version: binary.BigEndian.Uint32(ct[22:26]),
		Salt:    [32]byte(ct[26:58]),
	}
	if !h.valid() {
		return Header{}, ErrFormat
	}
	return h, nil
}
