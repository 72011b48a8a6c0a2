//go:build cgo && unix

package pkcs11_test

import (
	"bytes"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testtoken"
)

// TestPassingFaultIsNoWrongCiphertext: if one decryption fails with a temporary error,
// the ciphertext is not reported as wrong, and it decrypts. A token that keeps failing
// while its sentinel works is distinguished from one that reports its own failure.
func TestPassingFaultIsNoWrongCiphertext(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	d, id := opened(t, faulty.PKCS11), freshID()
	if _, err := d.GenerateKey(t.Context(), id, sealSpec); err != nil {
		t.Fatal(err)
	}
	k, err := d.OpenKey(t.Context(), id, sealSpec, nil)
	if err != nil {
		t.Fatal(err)
	}
	key, text := k.(driver.AEAD), []byte("text")
	sealed, err := key.Seal(t.Context(), nil, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range passing {
		for _, call := range []testtoken.PKCS11Call{testtoken.CDecryptInit, testtoken.CDecrypt} {
			faulty.Fail(call, codes[name], 1, false)
			if got, err := key.Open(t.Context(), nil, sealed, nil); err != nil || !bytes.Equal(got, text) {
				t.Errorf("AEAD.Open with one %s from function %d: %q, %v, want the plaintext", name, call, got, err)
			}
		}
	}
	for name, class := range map[string]driver.Class{"GENERAL_ERROR": driver.Authentic, "DEVICE_ERROR": driver.Unavailable} {
		faulty.Fail(testtoken.CDecrypt, codes[name], 1<<30, false)
		if _, err := key.Open(t.Context(), nil, sealed, nil); !is(err, class) {
			t.Errorf("AEAD.Open with %s from every call: %v", name, err)
		}
		faulty.Fail(testtoken.CDecrypt, 0, 0, false)
	}
}
