package drivertest

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/emmansun/gmsm/sm2"
)

// TestEncryptSM2 checks that ciphertexts of EncryptSM2 decrypt, also for one byte.
func TestEncryptSM2(t *testing.T) {
	key, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for range 1500 { // without the retry of EncryptSM2 six of them fail
		ciphertext, err := EncryptSM2(&key.PublicKey, []byte{7})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := key.Decrypt(nil, ciphertext, sm2.ASN1DecrypterOpts); err != nil || !bytes.Equal(got, []byte{7}) {
			t.Fatalf("%x, %v", got, err)
		}
	}
}
