package suite

import (
	"crypto/hmac"
	"hash"
)

// MAC returns the HMAC (FIPS 198-1) of the parts, one after the other. It adds
// no lengths. The key may have any size; the caller wipes it.
func (id ID) MAC(key []byte, parts ...[]byte) [HashSize]byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if id.short(key, n) {
		return id.shortMAC(key, parts...)
	}
	h := id.newMAC(key)
	defer WipeState(h)
	for _, p := range parts {
		h.Write(p)
	}
	var sum [HashSize]byte
	h.Sum(sum[:0])
	return sum
}

func (id ID) newMAC(key []byte) hash.Hash { return hmac.New(id.NewHash, key) }
