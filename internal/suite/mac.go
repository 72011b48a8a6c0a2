package suite

import (
	"crypto/fips140"
	"crypto/hmac"
	"hash"
)

// MAC returns the HMAC (FIPS 198-1) of the parts, one after the other. It adds
// no lengths. The key may have any size; the caller wipes it. Where the result is
// itself a secret use MACTo: a result by value is copied from stack to stack.
func (id ID) MAC(key []byte, parts ...[]byte) (sum [HashSize]byte) {
	id.MACTo(sum[:], key, parts...)
	return sum
}

// MACTo writes the MAC to dst, which has HashSize bytes. Of key and result nothing is
// left outside locked memory but in dst.
func (id ID) MACTo(dst, key []byte, parts ...[]byte) {
	_ = dst[HashSize-1]
	w := workspaces.take()
	defer workspaces.give(w)
	growStack(false)
	id.mac(w, key, parts)
	copy(dst, w.block[:])
	clearStack()
}

// mac leaves the MAC in w.block.
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

// moduleOnly reports whether all MACs are made by Go's FIPS module, as they are where
// it is in use.
func moduleOnly() bool { return fips140.Enabled() }

// loadKey writes the key to the beginning of w.inner, as a block: hashed if it is longer
// than one, and followed by zeros. That is the same key to HMAC.
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

// finishMAC makes the MAC of what stands in the first n bytes of w.inner.
func (id ID) finishMAC(w *workspace, n int) {
	*(*[HashSize]byte)(w.outer[blockSize:]) = id.Sum(w.inner[:n])
	w.block = id.Sum(w.outer[:])
}

// libraryMAC is mac by the library, for long messages and the FIPS module.
func (id ID) libraryMAC(w *workspace, key []byte, parts [][]byte) {
	id.loadKey(w, key)
	h := id.newMAC(w.inner[:blockSize])
	defer WipeState(h)
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(w.block[:0])
}

// newMAC returns the library's MAC state of a key of one block. It is on the heap. The
// first Reset drops its pads unwiped: see keptPads.
func (id ID) newMAC(key []byte) hash.Hash { return hmac.New(id.NewHash, key) }
