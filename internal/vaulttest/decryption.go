package vaulttest

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

// decryption: what an outsider encrypted to the public key comes back, under every
// algorithm of every spec; what is wrong is ErrCiphertext.
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

// wantNoPlaintext asks for an algorithm that the driver or the edition lacks.
func (s *subject) wantNoPlaintext(t *testing.T, x decrypting) {
	t.Helper()
	ct := make([]byte, max(x.bits()/8, 100))
	ct[len(ct)-1] = 2
	got, err := s.shared.owner().AsymmetricDecrypt(t.Context(), s.shared.key(t, x.row).ID, ct, x.alg)
	if !errors.Is(err, vault.ErrUnsupported) || got != nil {
		t.Errorf("driver or edition do without it: %v", err)
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
			t.Errorf("%d bytes came back as %d, %v", n, len(got), err)
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
		t.Errorf("unknown algorithm: %v", err)
	}
}

// lengths returns how long messages can be; SM2 has no empty ones.
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

// padding: under PKCS #1 v1.5 bad padding is no error; it gives the same other bytes
// each time, after a restart as well.
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
		t.Fatalf("good padding: %q", got)
	}
	answers := map[string]answer{}
	for name, spoil := range badPaddings() {
		ct := encryptPadded(public, []byte(message), spoil)
		answers[name] = answer{ct, decrypt(ct)}
		if string(answers[name].got) == message {
			t.Errorf("%s: the message came back", name)
		}
	}
	s.faulty.reopen(t)
	for name, a := range answers {
		if !bytes.Equal(decrypt(a.ct), a.got) {
			t.Errorf("%s: other bytes after a restart", name)
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

// badPaddings spoil a padded block, each in its own way.
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

// decrypter: a key is a crypto.Decrypter, with the options that crypto/rsa has.
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
				t.Errorf("cut: %v", err)
			}
		})
	}
	for _, r := range s.each() {
		if r.usage != vault.AsymmetricDecrypt {
			if _, err := s.shared.owner().Decrypter(t.Context(), s.shared.key(t, r).ID); !errors.Is(err, vault.ErrUsage) {
				t.Errorf("a key of %s as a Decrypter: %v", r, err)
			}
		}
	}
}

// optionsOf returns what crypto.Decrypter takes for an algorithm.
func optionsOf(alg vault.EncryptionAlgorithm) crypto.DecrypterOpts {
	switch alg {
	case vault.RSAESOAEPSHA1:
		return &rsa.OAEPOptions{Hash: crypto.SHA1}
	case vault.RSAESOAEPSHA256:
		return &rsa.OAEPOptions{Hash: crypto.SHA256}
	}
	return nil
}
