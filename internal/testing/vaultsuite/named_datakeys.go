package vaultsuite

import (
	"bytes"
	"errors"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/vault"
)

// namedDataKeys: a data key that the vault keeps under a name is the same after a restart, a
// rotation of its CMK and a re-encryption, and is as usable as it and its CMK are.
func namedDataKeys(t *testing.T, s *subject) {
	for _, x := range s.homes() {
		k := x.createSymmetric(t)
		name := "made-" + k.ID
		made, err := x.owner().CreateDataKey(t.Context(), k.ID, 32, vault.DataKeyOptions{Name: name, Context: purpose()})
		if err != nil || made.Name != name || made.Key != k.ID || made.Size != 32 || made.State != vault.Enabled {
			t.Fatalf("CreateDataKey: %+v, %v", made, err)
		}
		plain := openNamed(t, x, name)
		if _, err := x.owner().ImportDataKey(t.Context(), k.ID, plain, vault.DataKeyOptions{Name: "plain-" + k.ID}); err != nil {
			t.Fatal(err)
		}
		ct, err := x.owner().DataKeyCiphertext(t.Context(), made.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.owner().ImportDataKeyCiphertext(t.Context(), ct, vault.DataKeyOptions{Name: "ct-" + k.ID, Context: purpose()}); err != nil {
			t.Fatal(err)
		}
		x.reopen(t)
		if _, err := x.owner().RotateKey(t.Context(), k.ID); err != nil {
			t.Fatal(err)
		}
		if again, err := x.owner().ReEncryptDataKey(t.Context(), name); err != nil || again.Version != 2 {
			t.Errorf("ReEncryptDataKey: %+v, %v, want version 2", again, err)
		}
		for _, n := range []string{name, made.ID, "plain-" + k.ID, "ct-" + k.ID} {
			if got := openNamed(t, x, n); !bytes.Equal(got, plain) {
				t.Errorf("%s has other bytes after a restart and a rotation", n)
			}
		}
		if opened, err := x.owner().OpenDataKey(t.Context(), ct, purpose()); err != nil || !bytes.Equal(bytesOf(t, opened), plain) {
			t.Errorf("OpenDataKey of the former ciphertext: %v, or other bytes", err)
		} else {
			opened.Destroy()
		}
		namedDataKeyFails(t, x, k.ID, name)
	}
}

// namedDataKeyFails disables the data key and its CMK, and makes the device fail.
func namedDataKeyFails(t *testing.T, x *home, key, name string) {
	t.Helper()
	c, ctx := x.owner(), t.Context()
	refused := func(when string, want error) {
		t.Helper()
		if k, err := c.OpenNamedDataKey(ctx, name); !errors.Is(err, want) {
			t.Errorf("OpenNamedDataKey, %s: %v, %v, want %v", when, k, err, want)
		}
	}
	steps := []struct {
		when   string
		change func() error
		want   error
	}{
		{"disabled", func() error { return c.DisableDataKeys(ctx, name) }, vault.ErrDataKeyState},
		{"enabled, with a disabled CMK", func() error { return errors.Join(c.EnableDataKeys(ctx, name), c.DisableKeys(ctx, key)) }, vault.ErrKeyState},
	}
	for _, step := range steps {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		refused(step.when, step.want)
	}
	if err := c.EnableKeys(ctx, key); err != nil {
		t.Fatal(err)
	}
	if k, err := c.DescribeKey(ctx, key); err == nil && x.device != nil && k.Driver == x.driver() {
		x.device.Add(drivertest.Fault{Method: drivertest.MethodPRF, Fail: true, Class: driver.Denied})
		refused("with a device that fails", vault.ErrUnavailable)
		x.device.Clear()
	}
	openNamed(t, x, name)
}

// openNamed returns the bytes of a named data key.
func openNamed(t *testing.T, x *home, name string) []byte {
	t.Helper()
	k, err := x.owner().OpenNamedDataKey(t.Context(), name)
	if err != nil {
		t.Fatalf("OpenNamedDataKey(%s): %v", name, err)
	}
	defer k.Destroy()
	return bytesOf(t, k)
}
