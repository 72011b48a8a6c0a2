package pkcs1

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"

	"strongroom.example/internal/suite"
)

// lengthCandidates is the number of candidate lengths. Each candidate is too long with a
// probability below one half, so that all of them are too long for one in 2^128
// ciphertexts.
const lengthCandidates = 128

// synthesize derives the synthetic message for a ciphertext: the last length bytes of a
// block as long as the modulus. The caller wipes the block.
func synthesize(key, ciphertext []byte) (block []byte, length int) {
	kdk := suite.NewSecret(suite.HashSize)
	defer suite.Wipe(kdk)
	suite.AES.MACTo(kdk, key, ciphertext)
	size := len(ciphertext)
	candidates := expand(kdk, "length", 2*lengthCandidates)
	defer suite.Wipe(candidates)
	return expand(kdk, "message", size), pickLength(candidates, size-overhead)
}

// expand returns n pseudorandom bytes. Block i, from 0, is
//
//	HMAC-SHA-256(kdk, u16be i ‖ label ‖ u16be bits of all)
func expand(kdk []byte, label string, n int) []byte {
	out := make([]byte, 0, n+suite.HashSize) // with room for the whole last block
	var before, after [2]byte
	binary.BigEndian.PutUint16(after[:], uint16(n*8))
	for i := uint16(0); len(out) < n; i++ {
		binary.BigEndian.PutUint16(before[:], i)
		out = out[:len(out)+suite.HashSize]
		suite.AES.MACTo(out[len(out)-suite.HashSize:], kdk, before[:], []byte(label), after[:])
	}
	suite.Wipe(out[n:])
	return out[:n]
}

// pickLength returns the last candidate, truncated to the bits of longest, that is not
// above longest; 0 if there is none.
func pickLength(candidates []byte, longest int) int {
	// The draft counts up to the first offset at which a separator is too late, which
	// needs the bits of longest+1.
	mask := 1<<bits.Len(uint(longest+1)) - 1
	length := 0
	for i := 0; i < len(candidates); i += 2 {
		n := int(binary.BigEndian.Uint16(candidates[i:])) & mask
		length = subtle.ConstantTimeSelect(subtle.ConstantTimeLessOrEq(n, longest), n, length)
	}
	return length
}
