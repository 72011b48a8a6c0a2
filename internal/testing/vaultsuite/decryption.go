package vaultsuite

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"testing"

	"strongroom.example/vault"
)

// decryption: the vault decrypts messages that were encrypted to the public key without
// it, under every algorithm of every spec. A wrong ciphertext is ErrCiphertext.
func decryption(t *testing.T, s *subject) {
	for _, x := range s.decryptings() {
		t.Run(x.String(), func(t *testing.T) {
			if !x.can {
				s.wantNoPlaintext(t, x)
				return
			}
			s.decrypts(t, x)
		})
	}
}

// wantNoPlaintext checks the error for an algorithm that the driver or the edition does
// not support.
func (s *subject) wantNoPlaintext(t *testing.T, x decrypting) {
	t.Helper()
	ct := make([]byte, max(x.bits()/8, 100))
	ct[len(ct)-1] = 2
	got, err := s.shared.owner().AsymmetricDecrypt(t.Context(), s.shared.key(t, x.row).ID, ct, x.alg)
	if !errors.Is(err, vault.ErrUnsupported) || got != nil {
		t.Errorf("AsymmetricDecrypt by an algorithm that is not supported: %v, want ErrUnsupported", err)
	}
}

func (s *subject) decrypts(t *testing.T, x decrypting) {
	t.Helper()
	ctx, c := t.Context(), s.shared.owner()
	k, public := s.shared.key(t, x.row).ID, parse(t, s.shared.public(t, x.row))
	for _, n := range lengths(x) {
		want := bytes.Repeat([]byte("m"), n)
		got, err := c.AsymmetricDecrypt(ctx, k, encryptTo(t, x.alg, public, want), x.alg)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("a message of %d bytes decrypts to %d bytes, %v, or to another message", n, len(got), err)
		}
	}
	good := encryptTo(t, x.alg, public, []byte(message))
	bad := map[string][]byte{"empty": nil, "cut": good[1:], "longer": append([]byte{0}, good...), "ones": bytes.Repeat([]byte{255}, len(good))}
	if x.alg != vault.RSAESPKCS1V15 {
		for i := 0; i < len(good); i += max(1, len(good)/8) {
			flipped := bytes.Clone(good)
			flipped[i] ^= 1
			bad[fmt.Sprintf("byte %d flipped", i)] = flipped
		}
	}
	for name, ct := range bad {
		if got, err := c.AsymmetricDecrypt(ctx, k, ct, x.alg); !errors.Is(err, vault.ErrCiphertext) || got != nil {
			t.Errorf("%s: %v, want ErrCiphertext", name, err)
		}
	}
	if _, err := c.AsymmetricDecrypt(ctx, k, good, "x"); !errors.Is(err, vault.ErrInvalid) {
		t.Errorf("AsymmetricDecrypt by an unknown algorithm: %v, want ErrInvalid", err)
	}
}

// lengths returns message lengths up to the greatest. SM2 cannot encrypt an empty
// message.
func lengths(x decrypting) []int {
	switch x.alg {
	case vault.RSAESPKCS1V15:
		return []int{0, 1, x.bits()/8 - 11}
	case vault.RSAESOAEPSHA1:
		return []int{0, 1, x.bits()/8 - 42}
	case vault.RSAESOAEPSHA256:
		return []int{0, 1, x.bits()/8 - 66}
	}
	return []int{1, 146}
}

// decrypter: a key is a crypto.Decrypter that accepts the options of crypto/rsa.
func decrypter(t *testing.T, s *subject) {
	for _, x := range s.decryptings() {
		if !x.can || x.bits() > 2048 {
			continue
		}
		t.Run(x.String(), func(t *testing.T) {
			d, err := s.shared.owner().Decrypter(t.Context(), s.shared.key(t, x.row).ID)
			if err != nil {
				t.Fatal(err)
			}
			ct := encryptTo(t, x.alg, d.Public(), []byte(message))
			got, err := d.Decrypt(rand.Reader, ct, optionsOf(x.alg))
			if err := same(got, err); err != nil {
				t.Error(err)
			}
			if _, err := d.Decrypt(rand.Reader, ct[1:], optionsOf(x.alg)); !errors.Is(err, vault.ErrCiphertext) {
				t.Errorf("Decrypter.Decrypt of a truncated ciphertext: %v, want ErrCiphertext", err)
			}
		})
	}
	for _, r := range s.each() {
		if r.usage != vault.AsymmetricDecrypt {
			if _, err := s.shared.owner().Decrypter(t.Context(), s.shared.key(t, r).ID); !errors.Is(err, vault.ErrUsage) {
				t.Errorf("Decrypter with a key of %s: %v, want ErrUsage", r, err)
			}
		}
	}
}

// optionsOf returns the crypto.DecrypterOpts for an algorithm.
func optionsOf(alg vault.EncryptionAlgorithm) crypto.DecrypterOpts {
	switch alg {
	case vault.RSAESOAEPSHA1:
		return &rsa.OAEPOptions{Hash: crypto.SHA1}
	case vault.RSAESOAEPSHA256:
		return &rsa.OAEPOptions{Hash: crypto.SHA256}
	}
	return nil
}

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
