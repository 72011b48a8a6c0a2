// Package keywrap implements AES key wrap with padding: KWP of RFC 5649 and NIST SP
// 800-38F, 6.3. It is deterministic and needs no nonce: equal material under an equal key
// gives an equal result. It encrypts and authenticates key material of 1 to MaxMaterial
// bytes.
package keywrap

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"

	"strongroom.example/internal/suite"
)

// MaxMaterial is the longest material in bytes. The standard allows 4 GiB.
const MaxMaterial = 64 << 10

const (
	half  = 8 // a semiblock; all lengths are multiples of it
	magic = 0xA65959A6
)

var (
	// ErrUnwrap is the only error of Unwrap: another key, a changed text, or a length
	// that no wrapped text or no AES key has.
	ErrUnwrap = errors.New("keywrap: does not unwrap")
	// ErrSize is the only error of Wrap: material that is empty or too long, or a key of
	// a length that no AES key has.
	ErrSize = errors.New("keywrap: material or key of a wrong length")
)

// WrappedSize returns the wrapped length of n bytes of material.
func WrappedSize(n int) int { return half + (n+half-1)/half*half }

// Wrap appends the wrapped material to dst. key is an AES key of 16, 24 or 32 bytes.
// The caller wipes key and material.
func Wrap(dst, key, material []byte) ([]byte, error) {
	if len(material) == 0 || len(material) > MaxMaterial {
		return nil, ErrSize
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, ErrSize
	}
	defer suite.WipeState(block)
	work := make([]byte, WrappedSize(len(material)))
	defer suite.Wipe(work)
	binary.BigEndian.PutUint32(work, magic)
	binary.BigEndian.PutUint32(work[4:], uint32(len(material)))
	copy(work[half:], material)
	if len(work) == 2*half {
		block.Encrypt(work, work)
	} else {
		mix(block, work)
	}
	return append(dst, work...), nil
}

// Unwrap appends the material to dst, and reallocates only if the capacity does not
// suffice. Every fault is ErrUnwrap; no branch depends on a single part of the decrypted
// text. The caller wipes key and material.
func Unwrap(dst, key, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 2*half || len(wrapped) > WrappedSize(MaxMaterial) || len(wrapped)%half != 0 {
		return nil, ErrUnwrap
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, ErrUnwrap
	}
	defer suite.WipeState(block)
	work := append([]byte(nil), wrapped...)
	defer suite.Wipe(work)
	if len(work) == 2*half {
		block.Decrypt(work, work)
	} else {
		unmix(block, work)
	}
	n, ok := materialSize(work)
	if ok != 1 {
		return nil, ErrUnwrap
	}
	return append(dst, work[half:][:n]...), nil
}

// materialSize checks the decrypted text: the constant, the length, which must leave less
// than a semiblock of padding, and the padding, which must be zero.
func materialSize(work []byte) (n, ok int) {
	room := len(work) - half
	ok = subtle.ConstantTimeEq(int32(binary.BigEndian.Uint32(work)), int32(magic-1<<32))
	// A length with its top bit set becomes negative or too long; both are rejected.
	n = int(int32(binary.BigEndian.Uint32(work[4:])))
	negative := int(uint32(n) >> 31)
	n = subtle.ConstantTimeSelect(negative, 0, n)
	ok &= subtle.ConstantTimeLessOrEq(room-half+1, n) & subtle.ConstantTimeLessOrEq(n, room)
	var padding byte
	for i := room - half; i < room; i++ {
		beyond := subtle.ConstantTimeLessOrEq(n, i)
		padding |= work[half+i] & byte(-beyond)
	}
	return n, ok & subtle.ConstantTimeByteEq(padding, 0)
}

// mix applies the wrapping function W (SP 800-38F, 6.1) in place.
func mix(block cipher.Block, work []byte) {
	var b [2 * half]byte
	defer suite.Wipe(b[:])
	copy(b[:half], work)
	step := uint64(0)
	for range 6 {
		for at := half; at < len(work); at += half {
			step++
			copy(b[half:], work[at:])
			block.Encrypt(b[:], b[:])
			xor(b[:half], step)
			copy(work[at:at+half], b[half:])
		}
	}
	copy(work, b[:half])
}

// unmix is the inverse of mix.
func unmix(block cipher.Block, work []byte) {
	var b [2 * half]byte
	defer suite.Wipe(b[:])
	copy(b[:half], work)
	step := uint64(6 * (len(work)/half - 1))
	for range 6 {
		for at := len(work) - half; at > 0; at -= half {
			copy(b[half:], work[at:])
			xor(b[:half], step)
			block.Decrypt(b[:], b[:])
			copy(work[at:at+half], b[half:])
			step--
		}
	}
	copy(work, b[:half])
}

// xor adds the number of a step to a semiblock.
func xor(b []byte, step uint64) {
	binary.BigEndian.PutUint64(b, binary.BigEndian.Uint64(b)^step)
}
