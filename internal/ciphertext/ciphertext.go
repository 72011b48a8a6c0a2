// Package ciphertext is the vault's one ciphertext format: header codec, key
// derivation, commitment. It is pure: no key store, no device, no clock.
//
// A ciphertext commits to its key and its encryption context: nobody can make one
// that opens under two keys, or in two contexts. docs/formats.md has the bytes.
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
	// HeaderSize is the size of the header, which leads each ciphertext.
	HeaderSize = 58
	// Overhead is what a ciphertext has more than its plaintext: header,
	// commitment, nonce and tag.
	Overhead = HeaderSize + commitSize + suite.Overhead
	// MaxContext is the longest canonical encryption context.
	MaxContext = 8192
	// RootSize is the size of the PRF's output.
	RootSize = 32

	commitSize = 32
)

var (
	// ErrFormat: these bytes are no ciphertext of this format.
	ErrFormat = errors.New("ciphertext: not in a known format")
	// ErrOpen: the ciphertext does not open. It says nothing of the reason: another
	// key, another context, or changed bytes.
	ErrOpen = errors.New("ciphertext: does not open under this key and context")
	// ErrContext: an encryption context is not valid UTF-8 or is too long.
	ErrContext = errors.New("ciphertext: encryption context is not valid")
	// ErrTooLarge: the plaintext is longer than MaxPlaintext.
	ErrTooLarge = errors.New("ciphertext: plaintext is longer than 4096 bytes")
	// ErrInvalid: the caller's header or root has no meaning.
	ErrInvalid = errors.New("ciphertext: header or root is not valid")
)

// magic is the name, and the format's number.
const magic = "SRC\x01"

// A Header says which key a ciphertext is under, and never which driver.
type Header struct {
	Suite suite.ID
	// KeyID is the CMK's id.
	KeyID [16]byte
	// Version is the key version, from 1.
	Version uint32
	// Salt is fresh for each ciphertext: it makes the message key.
	Salt [32]byte
}

// append appends the 58 bytes of the header.
func (h Header) append(dst []byte) []byte {
	dst = append(dst, magic...)
	dst = append(dst, byte(h.Suite), 0)
	dst = append(dst, h.KeyID[:]...)
	dst = binary.BigEndian.AppendUint32(dst, h.Version)
	return append(dst, h.Salt[:]...)
}

func (h Header) valid() bool { return h.Suite.Valid() && h.Version > 0 }

// Parse reads the header of a ciphertext and checks its size. It proves nothing:
// only Open does. Every fault is ErrFormat.
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
