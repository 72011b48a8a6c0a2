package suite

import (
	"encoding/binary"
	"hash"
	"reflect"
)

// PBKDF2 derives n bytes from a password with HMAC as the PRF (SP 800-132, RFC 8018).
// iterations must be at least 1. The caller wipes password and result.
//
// The iteration is implemented here over the library's HMAC, because the library's PBKDF2
// takes the password as a string and leaves copies of it on the heap.
func (id ID) PBKDF2(password, salt []byte, iterations, n int) []byte {
	w := workspaces.take()
	defer workspaces.give(w)
	growStack(false)
	dst := NewSecret(n)
	id.pbkdf2(w, dst, password, salt, iterations)
	clearStack()
	return dst
}

//go:noinline
func (id ID) pbkdf2(w *workspace, dst, password, salt []byte, iterations int) {
	id.loadKey(w, password)
	h := id.newMAC(w.inner[:blockSize])
	defer WipeState(h)
	defer wipeAll(keptPads(h))
	var number [4]byte
	for block := uint32(1); len(dst) > 0; block++ {
		h.Reset()
		h.Write(salt)
		binary.BigEndian.PutUint32(number[:], block)
		h.Write(number[:])
		u, t := h.Sum(w.outer[:0]), w.block[:]
		copy(t, u)
		for range iterations - 1 {
			h.Reset()
			h.Write(u)
			u = h.Sum(u[:0])
			for i := range t {
				t[i] ^= u[i]
			}
		}
		dst = dst[copy(dst, t):]
	}
}

// keptPads returns the memory of a new MAC state. Reset replaces part of that memory,
// which WipeState could then no longer reach.
func keptPads(h hash.Hash) (all [][]byte) {
	stateMemory(reflect.ValueOf(h), maxStateDepth, func(p []byte) { all = append(all, p) })
	return all
}

func wipeAll(all [][]byte) {
	for _, p := range all {
		Wipe(p)
	}
}
