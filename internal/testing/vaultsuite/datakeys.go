package vaultsuite

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"strongroom.example/vault"
	"strongroom.example/vault/stream"
)

// dataKeys: a data key of each length is generated with its ciphertext, and decrypting
// that gives the same key.
func dataKeys(t *testing.T, s *subject) {
	ctx, c := t.Context(), s.shared.owner()
	k := s.shared.key(t, s.each()[0])
	for _, size := range []int{14, vault.DataKey128, vault.DataKey256, vault.MaxRandom} {
		dk, err := c.GenerateDataKey(ctx, k.ID, size, purpose())
		if err != nil {
			t.Fatal(err)
		}
		again, err := c.OpenDataKey(ctx, dk.Ciphertext(), purpose())
		if err != nil {
			t.Fatal(err)
		}
		plain := bytesOf(t, dk)
		if dk.Key() != k.ID || dk.Size() != size || len(plain) != size || !bytes.Equal(plain, bytesOf(t, again)) {
			t.Errorf("data key of size %d: %d bytes when generated and %d when decrypted, or other bytes", size, len(plain), again.Size())
		}
		if text := fmt.Sprintf("%v %+v %#v %x", dk, dk, dk, dk); bytes.Contains([]byte(text), fmt.Appendf(nil, "%x", plain[:4])) {
			t.Errorf("a data key prints its bytes: %s", text)
		}
		dk.Destroy()
		again.Destroy()
		if err := dk.Use(func([]byte) error { return nil }); !errors.Is(err, vault.ErrClosed) {
			t.Errorf("Use after Destroy: %v, want ErrClosed", err)
		}
	}
	if _, err := c.GenerateDataKey(ctx, k.ID, -1, nil); !errors.Is(err, vault.ErrInvalid) {
		t.Errorf("GenerateDataKey of size -1: %v, want ErrInvalid", err)
	}
	if _, err := c.GenerateDataKey(ctx, k.ID, vault.MaxRandom+1, nil); !errors.Is(err, vault.ErrTooLarge) {
		t.Errorf("GenerateDataKey of size %d: %v, want ErrTooLarge", vault.MaxRandom+1, err)
	}
	cipherSizes := map[vault.Edition][]int{vault.Standard: {32, 16}, vault.FIPS: {32, 16}, vault.SM: {16}}[s.edition]
	for _, size := range append([]int{vault.DataKeyDefault}, cipherSizes...) {
		s.dataCipher(t, k, size)
	}
	for _, size := range []int{24, 32, 64} {
		s.noCipher(t, k, size, cipherSizes)
	}
}

// noCipher checks that a data key of a size that fits no cipher has no cipher, but can
// encrypt a stream.
func (s *subject) noCipher(t *testing.T, k vault.Key, size int, sizes []int) {
	t.Helper()
	dk, err := s.shared.owner().GenerateDataKey(t.Context(), k.ID, size, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dk.Destroy()
	if _, err := dk.AEAD(); !slices.Contains(sizes, size) && !errors.Is(err, vault.ErrUnsupported) {
		t.Errorf("AEAD of a key of %d bytes: %v, want ErrUnsupported", size, err)
	}
	dataStream(t, dk)
}

// dataStream encrypts and decrypts a stream in the suite that the data key selects.
func dataStream(t *testing.T, dk *vault.DataKey) {
	t.Helper()
	var file bytes.Buffer
	w, err := stream.NewWriter(&file, stream.KeySuite, dk)
	if err != nil {
		t.Fatalf("NewWriter with a data key of %d bytes: %v", dk.Size(), err)
	}
	if _, err := w.Write([]byte(message)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := stream.NewReader(&file, func([]byte) (stream.DataKey, error) { return dk, nil })
	if err != nil {
		t.Fatal(err)
	}
	r.DataKey().(*vault.DataKey).Destroy()
	if got, err := io.ReadAll(r); err != nil || string(got) != message {
		t.Errorf("reading a stream after Destroy of its data key: %q, %v, want the message", got, err)
	}
}

// dataCipher encrypts data with a data key that was generated without its plaintext.
func (s *subject) dataCipher(t *testing.T, k vault.Key, size int) {
	t.Helper()
	ctx, c := t.Context(), s.shared.owner()
	ct, err := c.GenerateDataKeyWithoutPlaintext(ctx, k.ID, size, nil)
	if err != nil {
		t.Fatal(err)
	}
	dk, err := c.OpenDataKey(ctx, ct, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dk.Destroy()
	aead, err := dk.AEAD()
	if err != nil {
		t.Fatal(err)
	}
	sealed := aead.Seal(nil, nil, []byte(message), []byte("aad"))
	got, err := aead.Open(nil, nil, sealed, []byte("aad"))
	if err := same(got, err); err != nil {
		t.Error(err)
	}
	for i := range sealed {
		sealed[i] ^= 1
		if _, err := aead.Open(nil, nil, sealed, []byte("aad")); !errors.Is(err, vault.ErrCiphertext) {
			t.Errorf("AEAD.Open with byte %d flipped: %v, want ErrCiphertext", i, err)
		}
		sealed[i] ^= 1
	}
	dataStream(t, dk)
}

// bytesOf returns a copy of the key's bytes.
func bytesOf(t *testing.T, k *vault.DataKey) (out []byte) {
	t.Helper()
	if err := k.Use(func(b []byte) error { out = bytes.Clone(b); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// random: GenerateRandom returns the requested number of bytes, and different ones each
// time.
func random(t *testing.T, s *subject) {
	ctx, c := t.Context(), s.shared.owner()
	seen := map[string]bool{}
	for range 16 {
		p, err := c.GenerateRandom(ctx, 16)
		if err != nil || len(p) != 16 || seen[string(p)] {
			t.Fatalf("GenerateRandom(16): %d bytes, %v, seen before: %v", len(p), err, seen[string(p)])
		}
		seen[string(p)] = true
	}
	if p, err := c.GenerateRandom(ctx, vault.MaxRandom); err != nil || len(p) != vault.MaxRandom {
		t.Errorf("GenerateRandom(MaxRandom): %d bytes, %v", len(p), err)
	}
	for n, want := range map[int]error{-1: vault.ErrInvalid, 0: vault.ErrInvalid, vault.MaxRandom + 1: vault.ErrTooLarge} {
		if _, err := c.GenerateRandom(ctx, n); !errors.Is(err, want) {
			t.Errorf("GenerateRandom(%d): %v, want ErrInvalid or, above MaxRandom, ErrTooLarge", n, err)
		}
	}
}
