package ciphertext

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"testing"

	"strongroom.example/internal/suite"
)

// salamander returns nonce ‖ ct ‖ tag that plain AES-GCM opens under both keys. GHASH is
// linear in each block, so that the last block can be solved for a common tag.
func salamander(t *testing.T, key1, key2, aad []byte) []byte {
	t.Helper()
	nonce := bytes.Repeat([]byte{0x11}, 12)
	h1, mask1 := gcmSecrets(t, key1, nonce)
	h2, mask2 := gcmSecrets(t, key2, nonce)
	blocks := append(bytes.Repeat([]byte{0x22}, 32), make([]byte, 16)...)
	difference := ghash(h1, aad, blocks).add(mask1).add(ghash(h2, aad, blocks)).add(mask2)
	// In each tag the last block is multiplied by h².
	last := difference.mul(h1.mul(h1).add(h2.mul(h2)).inverse())
	copy(blocks[32:], last.bytes())
	tag := ghash(h1, aad, blocks).add(mask1)
	return bytes.Join([][]byte{nonce, blocks, tag.bytes()}, nil)
}

// gcmSecrets returns the hash key and the mask of the tag.
func gcmSecrets(t *testing.T, key, nonce []byte) (h, mask element) {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	var out [16]byte
	block.Encrypt(out[:], out[:])
	h = toElement(out[:])
	block.Encrypt(out[:], append(bytes.Clone(nonce), 0, 0, 0, 1))
	return h, toElement(out[:])
}

func plainGCMOpens(t *testing.T, key, sealed, aad []byte) bool {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	_, err = gcm.Open(nil, sealed[:12], sealed[12:], aad)
	return err == nil
}

// TestSalamander builds a body that opens under both message keys, with the commitment of
// either key in the header. Without the commitment it would open under both roots.
func TestSalamander(t *testing.T) {
	if fips140.Enforced() {
		t.Skip("the control is GCM with a nonce of its own, which a process that enforces FIPS 140 refuses")
	}
	h, context, root1 := sample(suite.AES)
	root2 := bytes.Repeat([]byte{0xA5}, RootSize)
	_, key1, commit1 := h.derive(context, root1)
	_, key2, commit2 := h.derive(context, root2)
	for i, commit := range [][]byte{commit1, commit2} {
		head := append(h.append(nil), commit...)
		body := salamander(t, key1, key2, head)
		if !plainGCMOpens(t, key1, body, head) || !plainGCMOpens(t, key2, body, head) {
			t.Fatal("the control fails: plain GCM does not open under both keys")
		}
		ct := append(head, body...)
		roots := [][]byte{root1, root2}
		if _, err := Open(nil, ct, context, roots[i]); err != nil {
			t.Errorf("under the key it commits to: %v", err)
		}
		refuses(t, "under the other key", ct, context, roots[1-i])
	}
}
