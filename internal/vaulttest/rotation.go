package vaulttest

import (
	"testing"

	"strongroom.example/vault"
)

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
