package vaulttest

import (
	"bytes"
	"crypto/rsa"
	"testing"

	"strongroom.example/vault"
)

// padding: under PKCS #1 v1.5 bad padding is not an error. Decrypt returns pseudorandom
// bytes, the same each time and after a restart.
func padding(t *testing.T, s *subject) {
	x, ok := s.pkcs1()
	if !ok {
		t.Skip("no key of this driver and edition decrypts PKCS #1 v1.5; Decryption has checked that it says so")
	}
	k, public := s.faulty.key(t, x.row).ID, parse(t, s.faulty.public(t, x.row)).(*rsa.PublicKey)
	type answer struct {
		ct, got []byte
	}
	decrypt := func(ct []byte) []byte {
		t.Helper()
		got, err := s.faulty.owner().AsymmetricDecrypt(t.Context(), k, ct, x.alg)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := decrypt(encryptPadded(public, []byte(message), func([]byte) {})); string(got) != message {
		t.Fatalf("AsymmetricDecrypt with good padding: %q, want the message", got)
	}
	answers := map[string]answer{}
	for name, spoil := range badPaddings() {
		ct := encryptPadded(public, []byte(message), spoil)
		answers[name] = answer{ct, decrypt(ct)}
		if string(answers[name].got) == message {
			t.Errorf("AsymmetricDecrypt with bad padding, %s: it returned the message", name)
		}
	}
	s.faulty.reopen(t)
	for name, a := range answers {
		if !bytes.Equal(decrypt(a.ct), a.got) {
			t.Errorf("AsymmetricDecrypt with bad padding, %s: it returned other bytes after a restart", name)
		}
	}
}

// pkcs1 returns the first row that decrypts PKCS #1 v1.5.
func (s *subject) pkcs1() (decrypting, bool) {
	for _, x := range s.decryptings() {
		if x.alg == vault.RSAESPKCS1V15 && x.can {
			return x, true
		}
	}
	return decrypting{}, false
}

// badPaddings returns functions that each damage a padded block in a different way.
func badPaddings() map[string]func(block []byte) {
	return map[string]func([]byte){
		"first byte":             func(b []byte) { b[0] = 1 },
		"block type":             func(b []byte) { b[1] = 1 },
		"no block type":          func(b []byte) { b[1] = 0 },
		"no padding":             func(b []byte) { b[2] = 0 },
		"seven bytes of padding": func(b []byte) { b[9] = 0 },
		"no zero":                func(b []byte) { b[len(b)-len(message)-1] = 1 },
		"next to nothing":        func(b []byte) { clear(b); b[len(b)-1] = 7 },
	}
}
