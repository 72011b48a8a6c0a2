// Package suite implements the cryptography of the editions: hash, MAC, key derivation
// and authenticated cipher. Only this package creates and wipes cipher states.
package suite

import (
	"crypto/fips140"
	"crypto/sha256"
	"fmt"
	"hash"

	"github.com/emmansun/gmsm/sm3"
)

// An ID identifies a suite. It is one byte in every stored format.
type ID uint8

// The suites.
const (
	// AES is SHA-256, HMAC-SHA-256 and AES-256-GCM (FIPS 180-4, FIPS 198-1,
	// FIPS 197, SP 800-38D).
	AES ID = 1
	// SM is SM3, HMAC-SM3 and SM4-GCM (GB/T 32905, GB/T 32907, RFC 8998).
	SM ID = 2
)

// Sizes in bytes that are the same in both suites.
const (
	// HashSize is the size of a hash and of a MAC.
	HashSize = 32
	// Overhead is the number of bytes that Seal adds: a nonce of 12 bytes and a tag of
	// 16.
	Overhead = nonceSize + tagSize

	nonceSize = 12
	tagSize   = 16
)

// Usable reports whether this process can compute with the suite. Where the process
// enforces FIPS 140 (GODEBUG=fips140=only), SM3 panics in Go.
func (id ID) Usable() bool { return id.Valid() && (id == AES || !fips140.Enforced()) }

// Valid reports whether id is AES or SM. All other methods panic or fail for another ID.
func (id ID) Valid() bool { return id == AES || id == SM }

// String returns the name of the suite.
func (id ID) String() string {
	switch id {
	case AES:
		return "AES_256_GCM_SHA_256"
	case SM:
		return "SM4_GCM_SM3"
	}
	return fmt.Sprintf("suite %d", uint8(id))
}

// KeySize returns the size in bytes of the key for Seal and Open: 32 for AES, 16 for SM,
// 0 for an invalid ID.
func (id ID) KeySize() int {
	switch id {
	case AES:
		return 32
	case SM:
		return 16
	}
	return 0
}

// NewHash returns a new hash state of SHA-256 or SM3.
func (id ID) NewHash() hash.Hash {
	switch id {
	case AES:
		return sha256.New()
	case SM:
		return sm3.New()
	}
	panic("suite: not a suite")
}

// Hash returns the hash of the concatenated parts. It adds no lengths: if parts vary in
// size, the caller must frame them. The parts may be secrets: Hash leaves no copy of
// them.
func (id ID) Hash(parts ...[]byte) (sum [HashSize]byte) {
	w := workspaces.take()
	defer workspaces.give(w)
	growStack(false)
	id.hash(w, parts)
	clearStack()
	return w.block
}

// hash computes the hash of the parts into w.block.
//
//go:noinline
func (id ID) hash(w *workspace, parts [][]byte) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n <= len(w.inner) {
		n = 0
		for _, p := range parts {
			n += copy(w.inner[n:], p)
		}
		w.block = id.Sum(w.inner[:n])
		return
	}
	h := id.NewHash()
	defer WipeState(h)
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(w.block[:0])
}

// Sum returns the hash of b. It does not allocate.
func (id ID) Sum(b []byte) [HashSize]byte {
	switch id {
	case AES:
		return sha256.Sum256(b)
	case SM:
		return sm3.Sum(b)
	}
	panic("suite: not a suite")
}
