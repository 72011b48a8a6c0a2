package suite

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"testing"
)

// TestShortMAC compares MACs in a workspace with those of the library, for keys and
// messages around every limit.
func TestShortMAC(t *testing.T) {
	for _, id := range []ID{AES, SM} {
		if !id.Usable() {
			continue
		}
		for _, keySize := range []int{14, 16, 32, 63, 64, 65, 200} {
			key := make([]byte, keySize)
			rand.Read(key)
			for n := 0; n <= shortMessage+2; n++ {
				message := make([]byte, n)
				rand.Read(message)
				h := hmac.New(id.NewHash, key)
				h.Write(message)
				want := h.Sum(nil)
				if got := id.MAC(key, message[:n/3], message[n/3:]); !bytes.Equal(got[:], want) {
					t.Fatalf("%v: MAC of %d bytes under a key of %d", id, n, keySize)
				}
			}
		}
	}
}

// TestLongKDF compares the two implementations of KDF, around the limit between them.
func TestLongKDF(t *testing.T) {
	for _, id := range []ID{AES, SM} {
		if !id.Usable() {
			continue
		}
		key := make([]byte, 32)
		rand.Read(key)
		for _, n := range []int{0, 1, 400, shortMessage - 14, shortMessage - 13, shortMessage - 12, shortMessage - 11, 2000} {
			context := make([]byte, n)
			rand.Read(context)
			got, want := make([]byte, 100), make([]byte, 100)
			id.KDF(got, key, "label", context)
			id.longKDF(new(workspace), want, key, "label", context)
			if !bytes.Equal(got, want) {
				t.Errorf("%v: KDF with a context of %d bytes", id, n)
			}
		}
	}
}

// TestHashOfAnyLength checks that a hash is the same in a workspace and by the library,
// for any split of the message.
func TestHashOfAnyLength(t *testing.T) {
	for _, id := range usable() {
		for _, n := range []int{0, 1, shortMessage - 1, shortMessage, shortMessage + 1, 4096} {
			message := bytes.Repeat([]byte{0xC3}, n)
			want := id.Sum(message)
			if id.Hash(message) != want || id.Hash(message[:n/3], message[n/3:]) != want {
				t.Errorf("%v: %d bytes", id, n)
			}
		}
	}
}
