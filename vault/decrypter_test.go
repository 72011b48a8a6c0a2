package vault

import (
	"bytes"
	"crypto/rand"
	"testing"

	"strongroom.example/internal/pkcs1"
)

// TestSessionKey: a message of any length takes the same path. It is returned if it has the
// length of the session key, and is wiped with its whole capacity in every case.
func TestSessionKey(t *testing.T) {
	const block = 256
	for _, n := range []int{16, 24, 32, 48, 245, 256, 300} {
		var paths []float64
		for length := range block - 10 {
			message := bytes.Repeat([]byte{7}, block)[:length]
			key := sessionKey(message, n)
			if fits := bytes.Equal(key, bytes.Repeat([]byte{7}, n)); len(key) != n || fits != (length == n) {
				t.Fatalf("sessionKey of a message of %d bytes, for %d: %d bytes, the message: %v", length, n, len(key), fits)
			}
			if len(bytes.Trim(message[:block], "\x00")) != 0 {
				t.Fatalf("sessionKey of a message of %d bytes, for %d: the message is not wiped", length, n)
			}
			paths = append(paths, testing.AllocsPerRun(2, func() { sessionKey(message, n) }))
		}
		for length, allocations := range paths {
			if allocations != paths[0] {
				t.Errorf("sessionKey of a message of %d bytes, for %d: %v allocations, %v for an empty one", length, n, allocations, paths[0])
			}
		}
	}
}

// TestUnpaddedHasItsBlock: every result of PKCS #1 v1.5 has the capacity that sessionKey
// needs.
func TestUnpaddedHasItsBlock(t *testing.T) {
	for _, size := range []int{256, 384, 512} {
		block := make([]byte, size)
		for range 8 {
			rand.Read(block)
			out, err := pkcs1.Unpad(nil, block, block, block[:pkcs1.KeySize])
			if err != nil || cap(out) < size {
				t.Errorf("Unpad of %d bytes: a capacity of %d, %v", size, cap(out), err)
			}
		}
	}
}
