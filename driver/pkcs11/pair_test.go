//go:build cgo && unix

package pkcs11_test

import (
	"path/filepath"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testtoken"
)

// TestDamagedPublicHalf: the token does not return an attribute of a public key that it
// has just made. Both keys of the pair are destroyed and made again.
func TestDamagedPublicHalf(t *testing.T) {
	const typeInvalid = 0x12
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	d := opened(t, faulty.PKCS11)
	for _, spec := range []driver.KeySpec{
		{Algorithm: driver.ECP256, Usage: driver.Sign},
		{Algorithm: driver.RSA2048, Usage: driver.Sign},
		{Algorithm: driver.RSA2048, Usage: driver.Decrypt},
	} {
		before, made := objects(t, faulty.PKCS11), faulty.Calls(testtoken.CGenerateKeyPair)
		faulty.Fail(testtoken.CGetAttribute, typeInvalid, 1, false)
		id := freshID()
		if _, err := d.GenerateKey(t.Context(), id, spec); err != nil {
			t.Fatalf("GenerateKey of %v: %v", spec, err)
		}
		if n := faulty.Calls(testtoken.CGenerateKeyPair) - made; n != 2 {
			t.Errorf("%v: C_GenerateKeyPair was called %d times, want 2", spec, n)
		}
		if n := objects(t, faulty.PKCS11) - before; n != 2 {
			t.Errorf("%v: %d new objects, want 2", spec, n)
		}
		if _, err := d.OpenKey(t.Context(), id, spec, nil); err != nil {
			t.Errorf("OpenKey of %v: %v", spec, err)
		}
	}
}

// objects returns the number of objects of a SoftHSM token, each of which is a file.
func objects(t *testing.T, token testtoken.PKCS11) int {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(token.Dir, "*.object"))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
