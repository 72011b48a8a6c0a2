package vault

import (
	"context"
	"errors"
	"slices"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/testing/fakedriver"
)

// noRawRSA is a device that supports OAEP but not RSA without padding.
func noRawRSA() *fakedriver.Driver {
	raw := func(a driver.EncryptAlg) bool { return a == driver.RSARaw }
	return &fakedriver.Driver{Device: drivertest.NewMemory(), OnInfo: func(info *driver.Info) {
		for i, can := range info.Specs {
			info.Specs[i].Decrypt = slices.DeleteFunc(slices.Clone(can.Decrypt), raw)
		}
	}, OnOpenKey: func(key driver.Key) driver.Key {
		inner, ok := key.(driver.Decrypter)
		if !ok {
			return key
		}
		return fakedriver.Decrypter{Key: key, OnDecrypt: func(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
			if raw(alg) {
				return nil, &driver.Error{Op: "Decrypt", Class: driver.Unsupported}
			}
			return inner.Decrypt(ctx, dst, alg, ciphertext)
		}}
	}}
}

// TestDeviceWithoutRawRSA: PKCS #1 v1.5 returns ErrUnsupported on such a device, for valid
// and invalid padding, and OAEP works.
func TestDeviceWithoutRawRSA(t *testing.T) {
	needs(t, RSAESPKCS1V15)
	v, _ := newTestVault(t, deviceConfig(noRawRSA()))
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Spec: RSA2048, Usage: AsymmetricDecrypt})
	if k.Driver != "hsm" {
		t.Fatalf("CreateKey: driver %s, want hsm", k.Driver)
	}
	public := publicRSA(t, c, k.ID)
	good := encryptRSA(t, public, RSAESPKCS1V15, []byte("m"))
	for name, ct := range map[string][]byte{"good": good, "bad": padded(t, public, 1)} {
		if got, err := c.AsymmetricDecrypt(ctx, k.ID, ct, RSAESPKCS1V15); !errors.Is(err, ErrUnsupported) || got != nil {
			t.Errorf("AsymmetricDecrypt with %s padding: %q, error %v, want ErrUnsupported", name, got, err)
		}
	}
	got, err := c.AsymmetricDecrypt(ctx, k.ID, encryptRSA(t, public, RSAESOAEPSHA256, []byte("m")), RSAESOAEPSHA256)
	if err != nil || string(got) != "m" {
		t.Errorf("AsymmetricDecrypt with OAEP: %q, error %v", got, err)
	}
}
