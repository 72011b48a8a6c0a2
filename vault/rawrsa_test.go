package vault

import (
	"context"
	"errors"
	"slices"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
)

// noRaw is a device that supports OAEP but not RSA without padding.
type noRaw struct{ *drivertest.Memory }

func (d noRaw) Info() driver.Info {
	info := d.Memory.Info()
	info.Specs = slices.Clone(info.Specs)
	for i, can := range info.Specs {
		info.Specs[i].Decrypt = slices.DeleteFunc(slices.Clone(can.Decrypt), func(a driver.EncryptAlg) bool { return a == driver.RSARaw })
	}
	return info
}

func (d noRaw) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	key, err := d.Memory.OpenKey(ctx, id, spec, blob)
	if inner, ok := key.(driver.Decrypter); ok {
		return noRawKey{inner}, err
	}
	return key, err
}

type noRawKey struct{ driver.Decrypter }

func (k noRawKey) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	if alg == driver.RSARaw {
		return nil, &driver.Error{Op: "Decrypt", Class: driver.Unsupported}
	}
	return k.Decrypter.Decrypt(ctx, dst, alg, ciphertext)
}

// TestDeviceWithoutRawRSA: PKCS #1 v1.5 returns ErrUnsupported on such a device, for valid
// and invalid padding, and OAEP works.
func TestDeviceWithoutRawRSA(t *testing.T) {
	needs(t, RSAESPKCS1V15)
	v, _ := newTestVault(t, deviceConfig(noRaw{drivertest.NewMemory()}))
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
