package suite

import (
	"crypto"
	"crypto/fips140"
	"crypto/hmac"
	_ "crypto/sha256" // SHA-224
	_ "crypto/sha512"
	"hash"
)

// MAC returns the HMAC (FIPS 198-1) of the concatenated parts. It adds no lengths. The
// key may have any size; the caller wipes it. If the result is itself a secret, use
// MACTo, because a result that is returned by value leaves copies on the stack.
func (id ID) MAC(key []byte, parts ...[]byte) (sum [HashSize]byte) {
	id.MACTo(sum[:], key, parts...)
	return sum
}

// MACTo writes the MAC to dst, which has HashSize bytes. It leaves no copy of key and
// result outside locked memory and dst.
func (id ID) MACTo(dst, key []byte, parts ...[]byte) {
	_ = dst[HashSize-1]
	w := workspaces.take()
	defer workspaces.give(w)
	growStack(false)
	id.mac(w, key, parts)
	copy(dst, w.block[:])
	clearStack()
}

// mac computes the MAC into w.block.
//
//go:noinline
func (id ID) mac(w *workspace, key []byte, parts [][]byte) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n > shortMessage || moduleOnly() {
		id.libraryMAC(w, key, parts)
		return
	}
	id.loadPads(w, key)
	n = blockSize
	for _, p := range parts {
		n += copy(w.inner[n:], p)
	}
	id.finishMAC(w, n)
}

// moduleOnly reports whether Go's FIPS module computes all MACs, as it does where it is
// in use.
func moduleOnly() bool { return fips140.Enabled() }

// loadKey writes the key to the beginning of w.inner as one block: hashed if it is longer
// than a block, and padded with zeros. HMAC treats that as the same key.
func (id ID) loadKey(w *workspace, key []byte) {
	clear(w.inner[:blockSize])
	if len(key) > blockSize {
		w.block = id.Sum(key)
		key = w.block[:]
	}
	copy(w.inner[:blockSize], key)
}

// loadPads writes the key's two pads to the beginning of w.inner and w.outer.
func (id ID) loadPads(w *workspace, key []byte) {
	id.loadKey(w, key)
	for i := range blockSize {
		w.outer[i] = w.inner[i] ^ 0x5c
		w.inner[i] ^= 0x36
	}
}

// finishMAC computes the MAC of the first n bytes of w.inner.
func (id ID) finishMAC(w *workspace, n int) {
	*(*[HashSize]byte)(w.outer[blockSize:]) = id.Sum(w.inner[:n])
	w.block = id.Sum(w.outer[:])
}

// libraryMAC computes mac by the library, for long messages and for the FIPS module.
func (id ID) libraryMAC(w *workspace, key []byte, parts [][]byte) {
	id.loadKey(w, key)
	h := id.newMAC(w.inner[:blockSize])
	defer WipeState(h)
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(w.block[:0])
}

// newMAC returns the library's MAC state for a key of one block. The state is on the
// heap. The first Reset drops its pads without wiping them; see keptPads.
func (id ID) newMAC(key []byte) hash.Hash { return hmac.New(id.NewHash, key) }

// SHA2MAC writes the HMAC of input to dst, which has the length of the hash: SHA-224, SHA-384 or
// SHA-512, which no suite has. The key may have any size; the caller wipes it. SHA2MAC computes
// by the library, whose state is on the heap until it returns.
func SHA2MAC(hash crypto.Hash, dst, key, input []byte) {
	_ = dst[hash.Size()-1]
	growStack(false)
	sha2MAC(hash, dst, key, input)
	clearStack()
}

//go:noinline
func sha2MAC(hash crypto.Hash, dst, key, input []byte) {
	h := hmac.New(hash.New, key)
	defer WipeState(h)
	h.Write(input)
	h.Sum(dst[:0])
}
