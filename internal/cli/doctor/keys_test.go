package doctor

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/driver/soft"
	"strongroom.example/vault"
)

// objects returns the keys in a device.
func objects(t *testing.T, device driver.Driver) map[driver.MaterialID]bool {
	t.Helper()
	ids := map[driver.MaterialID]bool{}
	for id, err := range device.(driver.Lister).ListKeys(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids[id] = true
	}
	return ids
}

// TestTryOldestVersion: a key is usable only if the device also has the oldest version that
// decrypts.
func TestTryOldestVersion(t *testing.T) {
	device := drivertest.NewMemory()
	cfg := vault.Config{Drivers: map[string]driver.Driver{"hsm": device}, Driver: "hsm"}
	unlock := func() driver.Protector {
		return soft.PassphraseParams{Memory: 64, Time: 1, Iterations: 1}.Passphrase([]byte("correct horse"))
	}
	dir, ctx := filepath.Join(t.TempDir(), "v"), t.Context()
	v, err := vault.Create(ctx, dir, cfg, unlock())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { v.Close() }()
	k, err := v.As(vault.DefaultOwner).CreateKey(ctx, vault.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	versions := []map[driver.MaterialID]bool{objects(t, device)}
	for range 2 {
		if k, err = v.As(vault.DefaultOwner).RotateKey(ctx, k.ID); err != nil {
			t.Fatal(err)
		}
		versions = append(versions, objects(t, device))
	}
	tried := func() error {
		t.Helper()
		if err := v.Close(); err != nil { // so that no handle of a key is open
			t.Fatal(err)
		}
		if v, err = vault.Open(context.Background(), dir, cfg, unlock()); err != nil {
			t.Fatal(err)
		}
		if k, err = v.As(vault.DefaultOwner).DescribeKey(ctx, k.ID); err != nil {
			t.Fatal(err)
		}
		return try(ctx, v.As(vault.DefaultOwner), k)
	}
	if err := tried(); err != nil {
		t.Errorf("a key with all versions: %v", err)
	}
	for id := range versions[0] {
		if err := device.DestroyKey(ctx, id, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := tried(); !errors.Is(err, vault.ErrUnavailable) || !strings.Contains(err.Error(), "version 1 of 3") {
		t.Errorf("a key whose first version is gone: %v, want ErrUnavailable for version 1 of 3", err)
	}
	if err := v.As(vault.DefaultOwner).SetMinimumVersion(ctx, k.ID, 2); err != nil {
		t.Fatal(err)
	}
	if err := tried(); err != nil {
		t.Errorf("a key whose first version is gone and does not decrypt: %v", err)
	}
}
