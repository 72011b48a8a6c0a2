package vault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
	"strongroom.example/vault/internal/keyid"
)

// newMemoryVault makes a vault with an engine in memory, for tests with many operations.
func newMemoryVault(t *testing.T, cfg Config) *Vault {
	t.Helper()
	engine := storetest.NewMemory()
	cfg.openEngine = func(dir string) (keystore.Engine, error) { return engine.Open(dir) }
	v, err := Create(t.Context(), filepath.Join(t.TempDir(), "v"), cfg, passphrase(t, "p"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeChecked(t, v) })
	return v
}

// TestWrongCiphertexts: every flipped bit and every truncation of a ciphertext of 4 KiB,
// and another key, version or context, give the same error.
func TestWrongCiphertexts(t *testing.T) {
	t.Parallel()
	v := newMemoryVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k, other := mustKey(t, c, KeyOptions{}), mustKey(t, c, KeyOptions{})
	if _, err := c.RotateKey(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	ec := EncryptionContext{"a": "1", "b": "2"}
	ct, err := c.Encrypt(ctx, k.ID, make([]byte, MaxPlaintext), ec)
	if err != nil {
		t.Fatal(err)
	}
	wrong := func(name string, at int, ct []byte, ec EncryptionContext) {
		if got, err := c.Decrypt(ctx, ct, ec); !errors.Is(err, ErrCiphertext) || got != nil {
			t.Fatalf("Decrypt, %s %d: %d bytes, error %v, want ErrCiphertext", name, at, len(got), err)
		}
	}
	for bit := range 8 * len(ct) {
		ct[bit/8] ^= 1 << (bit % 8)
		wrong("bit", bit, ct, ec)
		ct[bit/8] ^= 1 << (bit % 8)
	}
	for n := range ct {
		wrong("truncated to", n, ct[:n], ec)
	}
	wrong("one byte more", 0, append(ct[:len(ct):len(ct)], 0), ec)
	for i, bad := range []EncryptionContext{nil, {"a": "1"}, {"a": "2", "b": "1"}, {"a": "1", "b": "2", "c": ""}, {"a1b2": ""}} {
		wrong("context", i, ct, bad)
	}
	for _, version := range []uint32{0, 1, 3} { // the ciphertext is of version 2
		bad := bytes.Clone(ct)
		binary.BigEndian.PutUint32(bad[22:], version)
		wrong("version", int(version), bad, ec)
	}
	id, _ := keyid.Parse(other.ID)
	copy(ct[6:22], id[:])
	wrong("other key", 0, ct, ec)
}

// TestDecryptInPlace: AppendDecrypt decrypts a ciphertext into its own memory.
func TestDecryptInPlace(t *testing.T) {
	for _, edition := range editions {
		v, _ := newTestVault(t, Config{Edition: edition})
		c, ctx := v.As(DefaultOwner), t.Context()
		k := mustKey(t, c, KeyOptions{})
		for _, n := range []int{0, 1, 16, 100, MaxPlaintext} {
			want := bytes.Repeat([]byte{7}, n)
			ct, err := c.Encrypt(ctx, k.ID, want, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.AppendDecrypt(ctx, ct[:0], ct, nil)
			if err != nil || !bytes.Equal(got, want) || n > 0 && &got[0] != &ct[0] {
				t.Errorf("AppendDecrypt in place, edition %v, %d bytes: got %d bytes, error %v", edition, n, len(got), err)
			}
		}
	}
}

// TestBadEncryptionContexts: every method that takes an encryption context rejects an
// invalid one, and the error says why.
func TestBadEncryptionContexts(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	ct, err := c.Encrypt(ctx, k.ID, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var mistakes []invalidCall
	for _, row := range []struct {
		ec   EncryptionContext
		want error
		say  string
	}{
		{EncryptionContext{"": "x"}, ErrInvalid, "empty name"},
		{EncryptionContext{"\xff": "x"}, ErrInvalid, "UTF-8"},
		{EncryptionContext{"a": "\xc3"}, ErrInvalid, "UTF-8"},
		{EncryptionContext{"a": strings.Repeat("x", 8192)}, ErrTooLarge, "8192"},
	} {
		for name, do := range map[string]func() error{
			"Encrypt":       func() error { return second(c.Encrypt(ctx, k.ID, nil, row.ec)) },
			"Decrypt":       func() error { return second(c.Decrypt(ctx, ct, row.ec)) },
			"ReEncryptFrom": func() error { return second(c.ReEncrypt(ctx, ct, "", row.ec, nil)) },
			"ReEncryptTo":   func() error { return second(c.ReEncrypt(ctx, ct, "", nil, row.ec)) },
			"DataKey":       func() error { return second(c.GenerateDataKey(ctx, k.ID, 32, row.ec)) },
			"OpenDataKey":   func() error { return second(c.OpenDataKey(ctx, ct, row.ec)) },
		} {
			mistakes = append(mistakes, invalidCall{name + " with a context " + row.say, do, row.want, row.say})
		}
	}
	checkRefused(t, mistakes, func() map[string]uint64 { return countRecords(v) })
}
