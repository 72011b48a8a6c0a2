package vaulttest

import (
	"bytes"
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
