// Package pkcs1 takes the padding off RSAES-PKCS1-v1_5 (RFC 8017, 7.2.2) without
// telling good padding from bad.
//
// What is badly padded gives a synthetic message instead of an error: its length
// and bytes come from a PRF over the ciphertext, under a key that only the owner
// of the private key has. Whoever sees nothing but results and times cannot know
// which of the two he got. This is the implicit rejection of
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

	// overhead is 00 02, at least 8 bytes of padding, and the zero that ends them.
	overhead   = 2 + minPadding + 1
	minPadding = 8
)

// ErrSize says that an argument of Unpad has a length which no ciphertext of an RSA
// key can have. It depends on lengths alone, never on the padding.
var ErrSize = errors.New("pkcs1: arguments of the wrong length")

// Unpad appends the message to dst, or a synthetic message of 0 to len(block)-11
// bytes if the padding is bad. The same ciphertext always gives the same answer.
//
// block is c^d mod n, as long as the modulus and left-padded with zeros, and
// ciphertext is c, as long. key is of KeySize bytes, belongs to one private key and
// does nothing else; with SHA-256 of the private exponent, written as long as the
// modulus, messages are those of the draft. The only error is ErrSize. The caller
// wipes block, key and the result.
//
// All work, and every access to memory, depends on the size of the modulus alone.
// To that end dst needs a spare capacity of len(block) bytes, all of which Unpad
// overwrites, with zeros after the message; with less it is moved to a new array.
// What cannot be hidden is the length of the result, once the caller acts on it:
// he must treat all lengths alike that he did not expect.
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

// scan looks for 00 ‖ 02 ‖ at least 8 bytes that are not zero ‖ 00 ‖ message. It
// returns 1 and the message's length, or 0 and a number that means nothing.
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

// shiftLeft moves b to the left by n ≤ len(b) bytes and fills up with zeros. It does
// one pass for each bit that a number up to len(b) can have, taken or not.
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
