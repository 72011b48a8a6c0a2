package suite

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"testing"
)

// TestEd25519 compares keys and signatures with those of the standard library. Both are
// deterministic (RFC 8032).
func TestEd25519(t *testing.T) {
	seed := make([]byte, SeedSize)
	for n := range 300 {
		rand.Read(seed)
		message := make([]byte, n)
		rand.Read(message)
		key := ed25519.NewKeyFromSeed(seed)
		public, err := AES.PublicKey(seed)
		if err != nil || !bytes.Equal(public, key[32:]) {
			t.Fatalf("PublicKey: %x, %v, want %x", public, err, key[32:])
		}
		signature, err := AES.Sign(seed, message)
		if want := ed25519.Sign(key, message); err != nil || !bytes.Equal(signature, want) {
			t.Fatalf("Sign of %d bytes: %x, %v, want %x", n, signature, err, want)
		}
		if got := SignEd25519(key, message); !bytes.Equal(got, signature) || !bytes.Equal(key, ed25519.NewKeyFromSeed(seed)) {
			t.Fatalf("SignEd25519 of %d bytes: %x, want %x and the key unchanged", n, got, signature)
		}
	}
}

func TestExpandedSeedIsWiped(t *testing.T) {
	x := expand(bytes.Repeat([]byte{7}, SeedSize))
	x.public = x.point()
	if n := len(plainBytes(x)); n < 64+32+32 {
		t.Fatalf("stateMemory visits %d bytes of an expanded seed", n)
	}
	if x.wipe(); len(bytes.Trim(plainBytes(x), "\x00")) != 0 {
		t.Error("the expanded seed is not zero after it is wiped")
	}
}
