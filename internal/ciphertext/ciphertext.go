// Package ciphertext implements the format of the ciphertexts that callers get from the vault:
// header, key derivation and commitment. Stored records are sealed by package
// keystore/internal/record instead. Package ciphertext has no access to keys, devices or clocks.
//
// A ciphertext commits to its key and its encryption context: it is infeasible to make
// one that opens under two keys, or in two contexts. docs/formats.md specifies the bytes.
package ciphertext

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"unicode/utf8"

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

// Seal returns the ciphertext of plaintext under root, the 32-byte output of the CMK's
// PRF for h.PRFInput(context). context is canonical. The caller wipes root and plaintext.
// A plaintext longer than MaxPlaintext is ErrTooLarge.
func Seal(h Header, context, root, plaintext []byte) ([]byte, error) {
	if len(plaintext) > MaxPlaintext {
		return nil, ErrTooLarge
	}
	if !h.valid() || !h.Suite.Usable() || len(root) != RootSize {
		return nil, ErrInvalid
	}
	both, key, commit := h.derive(context, root)
	defer suite.Wipe(both)
	ct := h.append(make([]byte, 0, Overhead+len(plaintext)))
	ct = append(ct, commit...)
	return h.Suite.Seal(ct, key, plaintext, ct) // header and commitment are the associated data too
}

// Open appends the plaintext of ct to dst. It first compares the commitment, in constant
// time. Every fault is ErrOpen, including a cipher suite that this process cannot use.
// The caller wipes root and the result.
func Open(dst, ct, context, root []byte) ([]byte, error) {
	h, err := Parse(ct)
	if err != nil || !h.Suite.Usable() || len(root) != RootSize {
		return nil, ErrOpen
	}
	both, key, commit := h.derive(context, root)
	defer suite.Wipe(both)
	head, sealed := ct[:HeaderSize+commitSize], ct[HeaderSize+commitSize:]
	if subtle.ConstantTimeCompare(commit, head[HeaderSize:]) != 1 {
		return nil, ErrOpen
	}
	plaintext, err := h.Suite.Open(dst, key, sealed, head)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// The labels separate the three derivations from each other and from all others.
// labelRoot has at most 19 bytes, so that PRFInput fits into one block of the hash.
const (
	labelBind    = "strongroom/bind/1"
	labelRoot    = "strongroom/root/1"
	labelMessage = "strongroom/message/1"
)

// PRFInput returns the input for the CMK's PRF: the fixed input data of SP 800-108 in
// counter mode, for one block. The field that SP 800-108 names Context holds the hash that bind
// returns. The input has at most 64 bytes and is not secret. context is the canonical encryption
// context. The PRF's 32-byte output is the root for Seal and Open.
func (h Header) PRFInput(context []byte) []byte {
	b := h.bind(context)
	in := binary.BigEndian.AppendUint32(make([]byte, 0, 64), 1)
	in = append(in, labelRoot...)
	in = append(in, 0)
	in = append(in, b[:]...)
	return binary.BigEndian.AppendUint32(in, RootSize*8)
}

// bind returns the hash of header and encryption context, which docs/formats.md names B.
func (h Header) bind(context []byte) [suite.HashSize]byte {
	framed := make([]byte, 0, 3*4+len(labelBind)+HeaderSize+len(context))
	for _, part := range [][]byte{[]byte(labelBind), h.append(make([]byte, 0, HeaderSize)), context} {
		framed = binary.BigEndian.AppendUint32(framed, uint32(len(part)))
		framed = append(framed, part...)
	}
	return h.Suite.Sum(framed)
}

// derive returns the message key and the commitment. Both are slices of one buffer, which
// the caller wipes.
func (h Header) derive(context, root []byte) (both, key, commit []byte) {
	b := h.bind(context)
	n := h.Suite.KeySize()
	both = suite.NewSecret(n + commitSize)
	h.Suite.KDF(both, root, labelMessage, b[:])
	return both, both[:n], both[n:]
}

// CanonicalContext returns the canonical encoding of an encryption context: u16be count,
// then for each pair, in byte order of the names, u16be length ‖ name ‖ u16be length ‖
// value. nil and empty have the same encoding. A context that is not UTF-8, has an empty
// name, or is longer than MaxContext is ErrContext.
func CanonicalContext(pairs map[string]string) ([]byte, error) {
	size := 2
	for name, value := range pairs {
		if name == "" || !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, ErrContext
		}
		size += 4 + len(name) + len(value)
	}
	if size > MaxContext { // therefore every count and length fits into 16 bits
		return nil, ErrContext
	}
	dst := binary.BigEndian.AppendUint16(make([]byte, 0, size), uint16(len(pairs)))
	if len(pairs) == 0 {
		return dst, nil
	}
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		dst = appendString(dst, name)
		dst = appendString(dst, pairs[name])
	}
	return dst, nil
}

func appendString(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}
