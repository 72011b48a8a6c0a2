package suite

import "crypto/fips140"

const (
	// blockSize is the block of SHA-256 and of SM3.
	blockSize = 64
	// shortMessage is how long a message can be that is hashed or MACed on the stack.
	shortMessage = 512
)

// short reports whether a message of n bytes under key is MACed on the stack. Where
// Go's FIPS module is in use it does all MACs, on the heap.
func (id ID) short(key []byte, n int) bool {
	return n <= shortMessage && len(key) <= blockSize && !fips140.Enabled() && id.Valid()
}

// shortMAC is HMAC (FIPS 198-1) of a short message: nothing of key or message is left
// on the heap, and it costs a third of what a MAC state does.
func (id ID) shortMAC(key []byte, parts ...[]byte) [HashSize]byte {
	var inner [blockSize + shortMessage]byte
	var outer [blockSize + HashSize]byte
	copy(inner[:], key)
	copy(outer[:], key)
	for i := range blockSize {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	n := blockSize
	for _, p := range parts {
		n += copy(inner[n:], p)
	}
	sum := id.Sum(inner[:n])
	copy(outer[blockSize:], sum[:])
	sum = id.Sum(outer[:])
	Wipe(inner[:])
	Wipe(outer[:])
	return sum
}
