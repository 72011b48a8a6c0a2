// Package pkcs1 removes the padding of RSAES-PKCS1-v1_5 (RFC 8017, 7.2.2) without
// disclosing whether it was valid.
//
// Invalid padding gives a synthetic message instead of an error. The length and the bytes
// of that message come from a PRF over the ciphertext, under a key that only the owner of
// the private key has. An attacker who sees only results and times cannot distinguish a
// synthetic message from a real one. This is the implicit rejection of
// draft-irtf-cfrg-rsa-guidance, with a free choice of the key.
package pkcs1

import (
	"crypto/subtle"
	"errors"
	"slices"

	"strongroom.example/internal/suite"
)

const (
	// KeySize is the length in bytes of the key for synthetic messages.
	KeySize = 32
	// MinSize and MaxSize bound the modulus in bytes: 512 and 16384 bits.
	MinSize, MaxSize = 64, 2048

	// overhead is the length of 00 02, at least 8 bytes of padding, and the zero that
	// ends them.
	overhead   = 2 + minPadding + 1
	minPadding = 8
)

// ErrSize reports arguments of Unpad whose lengths no RSA key gives. It depends on the
// lengths only, never on the padding.
var ErrSize = errors.New("pkcs1: arguments of the wrong length")

// Unpad appends the message to dst or, if the padding is invalid, a synthetic message of
// 0 to len(block)-11 bytes. The same ciphertext always gives the same result.
//
// block is c^d mod n, as long as the modulus and left-padded with zeros. ciphertext is c,
// of the same length. key has KeySize bytes, belongs to one private key and has no other
// use. If key is SHA-256 of the private exponent, encoded as long as the modulus, the
// synthetic messages are those of the draft. The caller wipes block, key and the result.
// The only error is ErrSize.
//
// All work and all memory accesses depend on the length of the modulus only. For that,
// dst needs a spare capacity of len(block) bytes, all of which Unpad overwrites, with
// zeros after the message; if the capacity is less, Unpad allocates a new array. Unpad
// cannot hide the length of the result once the caller acts on it: the caller must treat
// all lengths that it does not expect alike.
func Unpad(dst, block, ciphertext, key []byte) ([]byte, error) {
	size := len(block)
	if size < MinSize || size > MaxSize || len(ciphertext) != size || len(key) != KeySize {
		return nil, ErrSize
	}
	synthetic, length := synthesize(key, ciphertext)
	defer suite.Wipe(synthetic)

	dst = slices.Grow(dst, size)
	out := dst[len(dst):][:size]
	subtle.WithDataIndependentTiming(func() {
		good, n := scan(block)
		length = subtle.ConstantTimeSelect(good, n, length)
		copy(out, synthetic)
		subtle.ConstantTimeCopy(good, out, block)
		shiftLeft(out, size-length)
	})
	return dst[:len(dst)+length], nil
}

// scan searches for 00 ‖ 02 ‖ at least 8 bytes that are not zero ‖ 00 ‖ message. It
// returns 1 and the length of the message, or 0 and a meaningless number.
func scan(block []byte) (good, length int) {
	good = subtle.ConstantTimeByteEq(block[0], 0) & subtle.ConstantTimeByteEq(block[1], 2)
	end, looking := 0, 1
	for i := 2; i < len(block); i++ {
		first := looking & subtle.ConstantTimeByteEq(block[i], 0)
		end = subtle.ConstantTimeSelect(first, i, end)
		looking &^= first
	}
	good &= 1 - looking
	good &= subtle.ConstantTimeLessOrEq(2+minPadding, end)
	return good, len(block) - 1 - end
}

// shiftLeft moves b to the left by n ≤ len(b) bytes and fills with zeros. It makes one
// pass for each bit that a number up to len(b) can have, whether the bit is set or not.
func shiftLeft(b []byte, n int) {
	for step := 1; step <= len(b); step <<= 1 {
		take := byte(-(n & 1))
		n >>= 1
		for i := range b {
			var from byte
			if i+step < len(b) {
				from = b[i+step]
			}
			b[i] ^= take & (b[i] ^ from)
		}
	}
}
