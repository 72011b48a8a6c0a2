package vaultsuite

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
		got, err := c.AppendDecrypt(ctx, []byte("before"), ct, vault.EncryptionContext{})
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
func spoiled(t *testing.T, s *subject, m keySample) map[string][]byte {
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

// rotations is the number of rotations of the key.
const rotations = 3

// rotation: each new version encrypts, and every old ciphertext still opens after the
// vault was closed and opened.
func rotation(t *testing.T, s *subject) {
	x, ctx := s.faulty, t.Context()
	o := x.options(symmetricRow(s.edition))
	o.Alias = "rotated"
	k := x.create(t, o)
	var made [][]byte
	for range rotations {
		made = append(made, encrypt(t, x, k.ID))
		if _, err := x.owner().RotateKey(ctx, "rotated"); err != nil {
			t.Fatal(err)
		}
	}
	made = append(made, encrypt(t, x, k.ID))
	x.reopen(t)
	c := x.owner()
	for i, ct := range made {
		if in, err := vault.Inspect(ct); err != nil || in.Key != k.ID || in.Version != uint32(i+1) {
			t.Errorf("Inspect of a ciphertext of version %d: %+v, %v, want that key and version", i+1, in, err)
		}
		got, err := c.Decrypt(ctx, ct, purpose())
		if err := same(got, err); err != nil {
			t.Errorf("Decrypt of a ciphertext of version %d: %v", i+1, err)
		}
	}
	versions, err := c.ListKeyVersions(ctx, k.ID)
	if err != nil || len(versions) != rotations+1 {
		t.Fatalf("ListKeyVersions: %d versions, %v, want one more than the rotations", len(versions), err)
	}
	for i, v := range versions {
		if v.Number != uint32(i+1) || v.Driver != k.Driver || v.Residence != k.Residence || v.Level != k.Level {
			t.Errorf("version %d is %+v, want it with the driver, residence and level of %+v", i+1, v, k)
		}
	}
	reEncrypted(t, x, made[0], k.ID)
}

// reEncrypted re-encrypts a ciphertext to the newest version, and to another key.
func reEncrypted(t *testing.T, x *home, ct []byte, key string) {
	t.Helper()
	ctx, c := t.Context(), x.owner()
	other := x.createSymmetric(t)
	for to, want := range map[string]vault.Ciphertext{"": {Key: key, Version: rotations + 1}, other.ID: {Key: other.ID, Version: 1}} {
		moved, err := c.ReEncrypt(ctx, ct, to, purpose(), vault.EncryptionContext{"n": "2"})
		if err != nil {
			t.Fatal(err)
		}
		if in, err := vault.Inspect(moved); err != nil || in.Key != want.Key || in.Version != want.Version {
			t.Errorf("re-encrypted to %+v, %v, want %+v", in, err, want)
		}
		got, err := c.Decrypt(ctx, moved, vault.EncryptionContext{"n": "2"})
		if err := same(got, err); err != nil {
			t.Error(err)
		}
	}
}

// encrypt encrypts the message.
func encrypt(t *testing.T, x *home, key string) []byte {
	t.Helper()
	ct, err := x.owner().Encrypt(t.Context(), key, []byte(message), purpose())
	if err != nil {
		t.Fatal(err)
	}
	if len(ct) != len(message)+vault.Overhead {
		t.Errorf("the ciphertext has %d bytes, want the message's and Overhead", len(ct))
	}
	return ct
}
