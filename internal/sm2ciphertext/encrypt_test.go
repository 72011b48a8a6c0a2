package sm2ciphertext_test

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"strongroom.example/internal/sm2ciphertext"
)

// TestEncrypt checks that ciphertexts of Encrypt decrypt, also for one byte.
func TestEncrypt(t *testing.T) {
	key, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for range 1500 { // without the retry of Encrypt six of them fail
		ciphertext, err := sm2ciphertext.Encrypt(&key.PublicKey, []byte{7})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := key.Decrypt(nil, ciphertext, sm2.ASN1DecrypterOpts); err != nil || !bytes.Equal(got, []byte{7}) {
			t.Fatalf("%x, %v", got, err)
		}
	}
}
