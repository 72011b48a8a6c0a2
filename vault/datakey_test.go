package vault

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"strongroom.example/internal/testing/redacttest"
	"strongroom.example/vault/internal/editionrules"
)

func TestDataKey(t *testing.T) {
	for _, edition := range editions {
		t.Run(edition.String(), func(t *testing.T) {
			v, _ := newTestVault(t, Config{Edition: edition})
			c, ctx := v.As(DefaultOwner), t.Context()
			k := mustKey(t, c, KeyOptions{})
			for _, size := range []int{1, 13, 14, 16, 32, 1024} {
				if editionrules.ExcludedSize(edition, size) != nil {
					if _, err := c.GenerateDataKey(ctx, k.ID, size, nil); !errors.Is(err, ErrUnsupported) {
						t.Errorf("GenerateDataKey of %d bytes: %v, want ErrUnsupported", size, err)
					}
					continue
				}
				dk, err := c.GenerateDataKey(ctx, k.ID, size, EncryptionContext{"a": "b"})
				if err != nil {
					t.Fatal(err)
				}
				again, err := c.OpenDataKey(ctx, dk.Ciphertext(), EncryptionContext{"a": "b"})
				if err != nil {
					t.Fatal(err)
				}
				if plain := bytesOf(t, dk); len(plain) != size || !bytes.Equal(plain, bytesOf(t, again)) {
					t.Errorf("size %d: the opened data key has another size or value than the generated one", size)
				}
				dk.Destroy()
				again.Destroy()
				if err := dk.Use(func([]byte) error { return nil }); !errors.Is(err, ErrClosed) {
					t.Errorf("use after Destroy: %v", err)
				}
			}
			ct, err := c.GenerateDataKeyWithoutPlaintext(ctx, k.ID, 32, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.OpenDataKey(ctx, ct, EncryptionContext{"x": "y"}); !errors.Is(err, ErrCiphertext) {
				t.Errorf("OpenDataKey with another context: %v, want ErrCiphertext", err)
			}
			for _, size := range []int{-1, 1025} {
				if _, err := c.GenerateDataKey(ctx, k.ID, size, nil); !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrTooLarge) {
					t.Errorf("GenerateDataKey of %d bytes: %v, want ErrInvalid or ErrTooLarge", size, err)
				}
			}
		})
	}
}

// bytesOf returns a copy of the key's bytes.
func bytesOf(t *testing.T, k *DataKey) (out []byte) {
	t.Helper()
	if err := k.Use(func(b []byte) error { out = bytes.Clone(b); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestIdleDataKeyMovesToEnclave(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{})
	dk, err := c.GenerateDataKey(t.Context(), k.ID, v.suite.KeySize(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dk.Destroy()
	aead, err := dk.AEAD()
	if err != nil {
		t.Fatal(err)
	}
	sealed, before := aead.Seal(nil, nil, []byte("data"), []byte("aad")), bytesOf(t, dk)
	dk.held.MoveToEnclave(time.Now().Add(time.Hour))
	if dk.held.AtRest() || dk.held.Ciphered() {
		t.Fatal("a data key with a cipher is not in locked memory, or the state of its cipher remains")
	}
	plain, err := c.OpenDataKey(t.Context(), dk.Ciphertext(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Destroy()
	plain.held.MoveToEnclave(time.Now().Add(time.Hour))
	if !plain.held.AtRest() {
		t.Fatal("a data key without a cipher did not move to an enclave")
	}
	if !bytes.Equal(before, bytesOf(t, plain)) {
		t.Error("the key changed in its enclave")
	}
	got, err := aead.Open(nil, nil, sealed, []byte("aad"))
	if err != nil || string(got) != "data" {
		t.Errorf("cipher's Open after a move to an enclave: %q, error %v", got, err)
	}
	if !bytes.Equal(before, bytesOf(t, dk)) {
		t.Error("the key changed in its enclave")
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := aead.Open(nil, nil, sealed, []byte("aad")); !errors.Is(err, ErrCiphertext) {
		t.Errorf("cipher's Open of a changed ciphertext: %v, want ErrCiphertext", err)
	}
	redacttest.Silent(t, dk, before)
	dk.Destroy()
	if _, err := aead.Open(nil, nil, sealed, []byte("aad")); !errors.Is(err, ErrClosed) {
		t.Errorf("Open after Destroy: %v, want ErrClosed", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("Seal after Destroy did not panic")
		}
	}()
	aead.Seal(nil, nil, nil, nil)
}

func TestReEncrypt(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	a, b := mustKey(t, c, KeyOptions{}), mustKey(t, c, KeyOptions{})
	ct, err := c.Encrypt(ctx, a.ID, []byte("x"), EncryptionContext{"n": "1"})
	if err != nil {
		t.Fatal(err)
	}
	moved, err := c.ReEncrypt(ctx, ct, b.ID, EncryptionContext{"n": "1"}, EncryptionContext{"n": "2"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Decrypt(ctx, moved, EncryptionContext{"n": "2"}); err != nil || string(got) != "x" {
		t.Errorf("Decrypt after ReEncrypt: %q, error %v", got, err)
	}
	if _, err := c.RotateKey(ctx, a.ID); err != nil {
		t.Fatal(err)
	}
	newer, err := c.ReEncrypt(ctx, ct, "", EncryptionContext{"n": "1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if in, _ := Inspect(newer); in.Key != a.ID || in.Version != 2 {
		t.Errorf("Inspect after ReEncrypt: %+v", in)
	}
}

// TestWithoutPlaintextIsItsOwnOperation: a principal that may only make data keys without
// plaintext gets no plaintext, and the record names the right operation.
func TestWithoutPlaintextIsItsOwnOperation(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = mayOnly{OpGenerateDataKeyWithoutPlaintext: true}
	v, _ := newTestVault(t, cfg)
	owner, maker, ctx := v.As(DefaultOwner), v.As("maker"), t.Context()
	k := mustKey(t, owner, KeyOptions{})
	if _, err := maker.GenerateDataKey(ctx, k.ID, 32, nil); !errors.Is(err, ErrDenied) {
		t.Errorf("GenerateDataKey without permission: %v, want ErrDenied", err)
	}
	ct, err := maker.GenerateDataKeyWithoutPlaintext(ctx, k.ID, 32, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := lastRecord(t, owner, OpGenerateDataKeyWithoutPlaintext)
	if r.Principal != "maker" || r.Key != k.ID || r.OutputSize != uint64(len(ct)) {
		t.Errorf("the record of GenerateDataKeyWithoutPlaintext is %+v", r)
	}
	if n := records(t, owner, OpGenerateDataKey); n != 1 { // the refused call
		t.Errorf("%d records of GenerateDataKey, want 1", n)
	}
}
