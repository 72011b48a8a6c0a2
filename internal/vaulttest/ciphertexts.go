package vaulttest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"strongroom.example/vault"
)

// ciphertexts: Decrypt opens the output of Encrypt for every length and context. Any
// change of the ciphertext or context is ErrCiphertext, and no plaintext is returned.
func ciphertexts(t *testing.T, s *subject) {
	roundTrips(t, s.shared)
	c := s.shared.owner()
	m := s.sample(t, s.shared, s.each()[0])
	for name, bad := range spoiled(t, s, m) {
		wantCiphertext(t, c, name, bad, purpose())
	}
	for name, ec := range map[string]vault.EncryptionContext{
		"no context":    nil,
		"less context":  {"tenant": "acme-and-sons"},
		"more context":  {"tenant": "acme-and-sons", "b": "1", "c": ""},
		"other context": {"tenant": "acme-and-sons", "b": "2"},
		"swapped":       {"acme-and-sons": "tenant", "b": "1"},
	} {
		wantCiphertext(t, c, name, m.ct, ec)
	}
}

// roundTrips encrypts and decrypts messages of 0, 1 and MaxPlaintext bytes, and checks
// that a longer message or context is ErrTooLarge.
func roundTrips(t *testing.T, x *home) {
	t.Helper()
	ctx, c := t.Context(), x.owner()
	k := x.createSymmetric(t)
	for _, n := range []int{0, 1, vault.MaxPlaintext} {
		plaintext := bytes.Repeat([]byte("x"), n)
		ct, err := c.Encrypt(ctx, k.ID, plaintext, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.DecryptTo(ctx, []byte("before"), ct, vault.EncryptionContext{})
		if err != nil || string(got) != "before"+string(plaintext) {
			t.Errorf("a message of %d bytes decrypts to %d bytes, %v, or to another message", n, len(got)-len("before"), err)
		}
		again, err := c.Encrypt(ctx, k.ID, plaintext, nil)
		if err != nil || bytes.Equal(ct, again) {
			t.Errorf("two ciphertexts of the same %d bytes are equal, or Encrypt: %v", n, err)
		}
	}
	if _, err := c.Encrypt(ctx, k.ID, make([]byte, vault.MaxPlaintext+1), nil); !errors.Is(err, vault.ErrTooLarge) {
		t.Errorf("Encrypt of %d bytes: %v, want ErrTooLarge", vault.MaxPlaintext+1, err)
	}
	if _, err := c.Encrypt(ctx, k.ID, nil, vault.EncryptionContext{"k": string(make([]byte, 8192))}); !errors.Is(err, vault.ErrTooLarge) {
		t.Errorf("Encrypt with a long context: %v, want ErrTooLarge", err)
	}
}

// spoiled returns a ciphertext damaged in every way.
func spoiled(t *testing.T, s *subject, m sample) map[string][]byte {
	t.Helper()
	bad := map[string][]byte{
		"empty": nil, "longer": append(slices.Clone(m.ct), 0), "twice": slices.Concat(m.ct, m.ct),
		"zeros": make([]byte, len(m.ct)), "in another vault": encrypt(t, s.faulty, s.faulty.createSymmetric(t).ID),
	}
	if s.faulty == s.shared {
		delete(bad, "in another vault") // there is only one vault
	}
	for i := range m.ct {
		flipped := slices.Clone(m.ct)
		flipped[i] ^= 1 << (i % 8)
		bad[fmt.Sprintf("byte %d flipped", i)] = flipped
	}
	for _, n := range []int{1, 3, vault.Overhead - 1, vault.Overhead, len(m.ct) - 1} {
		bad[fmt.Sprintf("cut to %d bytes", n)] = m.ct[:n]
	}
	// From another key of the same kind: the header of one and the body of the other.
	other := encrypt(t, s.shared, s.shared.createSymmetric(t).ID)
	half := len(m.ct) / 2
	bad["head of another"] = slices.Concat(other[:half], m.ct[half:])
	bad["tail of another"] = slices.Concat(m.ct[:half], other[half:])
	return bad
}

func wantCiphertext(t *testing.T, c vault.Client, name string, ct []byte, ec vault.EncryptionContext) {
	t.Helper()
	for op, err := range map[string]error{
		"Decrypt":     second(c.Decrypt(t.Context(), ct, ec)),
		"ReEncrypt":   second(c.ReEncrypt(t.Context(), ct, "", ec, nil)),
		"OpenDataKey": second(c.OpenDataKey(t.Context(), ct, ec)),
	} {
		if !errors.Is(err, vault.ErrCiphertext) {
			t.Errorf("%s, %s: %v, want ErrCiphertext", op, name, err)
		}
	}
}
