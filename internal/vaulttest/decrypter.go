package vaulttest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"testing"

	"strongroom.example/vault"
)

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
