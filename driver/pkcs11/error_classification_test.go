//go:build cgo && unix

package pkcs11_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/testtoken"
)

// TestTransientFaultIsNotAWrongCiphertext: if one decryption fails with a temporary error,
// the ciphertext is not reported as wrong, and it decrypts. A token that keeps failing
// while its sentinel works is distinguished from one that reports its own failure.
func TestTransientFaultIsNotAWrongCiphertext(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	d, id := opened(t, faulty.PKCS11), freshID()
	created, err := d.GenerateKey(t.Context(), id, decryptSpec)
	if err != nil {
		t.Fatal(err)
	}
	k, err := d.OpenKey(t.Context(), id, decryptSpec, nil)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey(created.PublicDER)
	if err != nil {
		t.Fatal(err)
	}
	key, text := k.(driver.Decrypter), []byte("text")
	ciphertext, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, public.(*rsa.PublicKey), text, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range passing {
		for _, call := range []testtoken.PKCS11Call{testtoken.CDecryptInit, testtoken.CDecrypt} {
			faulty.Fail(call, codes[name], 1, false)
			if got, err := key.Decrypt(t.Context(), nil, driver.RSAOAEPSHA1, ciphertext); err != nil || !bytes.Equal(got, text) {
				t.Errorf("Decrypt with one %s from function %d: %q, %v, want the plaintext", name, call, got, err)
			}
		}
	}
	for name, class := range map[string]driver.Class{"GENERAL_ERROR": driver.Authentic, "DEVICE_ERROR": driver.Unavailable} {
		faulty.Fail(testtoken.CDecrypt, codes[name], 1<<30, false)
		if _, err := key.Decrypt(t.Context(), nil, driver.RSAOAEPSHA1, ciphertext); !is(err, class) {
			t.Errorf("Decrypt with %s from every call: %v", name, err)
		}
		faulty.Fail(testtoken.CDecrypt, 0, 0, false)
	}
}

// TestBusyTokenIsNotAWrongCiphertext: if the token runs out of memory while an unwrapped
// key is checked, the ciphertext is not reported as wrong.
func TestBusyTokenIsNotAWrongCiphertext(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	d := opened(t, faulty.PKCS11)
	with, public := wrappingPair(t, d)
	for spec, in := range map[driver.KeySpec][]byte{
		{Algorithm: driver.ECP256, Usage: driver.Sign}: sample(t, driver.ECP256), derive: randomBytes(32),
	} {
		for _, code := range []uint32{2, 0x31, 0xE2} { // HOST_MEMORY, DEVICE_MEMORY, TOKEN_WRITE_PROTECTED
			faulty.Fail(testtoken.CSign, code, 1, false)
			w := driver.Wrapped{With: with, Alg: driver.WrapRSAAESKWP, Ciphertext: wrapBy(t, driver.WrapRSAAESKWP, public, in)}
			if _, err := d.(driver.WrappedImporter).ImportWrapped(t.Context(), freshID(), spec, w); is(err, driver.Authentic) {
				t.Errorf("ImportWrapped of %v with code %#x: %v, want another class than Authentic", spec, code, err)
			}
			faulty.Fail(testtoken.CSign, 0, 0, false)
		}
	}
}

// TestDestroyedAtTheSecondTry: a session that ended has not destroyed the key; the second
// attempt destroys it, without initialising the module again.
func TestDestroyedAtTheSecondTry(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	d := opened(t, faulty.PKCS11)
	for _, code := range []uint32{0xB3, 0x101} { // SESSION_HANDLE_INVALID, USER_NOT_LOGGED_IN
		v := newTestKey(t, d)
		before := faulty.Calls(testtoken.CFinalize)
		faulty.Fail(testtoken.CDestroyObject, code, 1, false)
		if err := d.DestroyKey(t.Context(), v.id, nil); err != nil {
			t.Errorf("DestroyKey after code %#x: %v", code, err)
		}
		if n := faulty.Calls(testtoken.CFinalize) - before; n != 0 {
			t.Errorf("code %#x: the module was finalised %d times, want 0", code, n)
		}
	}
}
