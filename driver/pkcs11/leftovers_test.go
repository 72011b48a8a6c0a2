//go:build cgo && unix

package pkcs11_test

import (
	"path/filepath"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/testtoken"
)

// TestNoObjectsAreLeft makes a key of each spec in each way, makes an import fail, and
// destroys all keys. SoftHSM keeps each object in a file, so partial objects would be
// seen.
func TestNoObjectsAreLeft(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	d := opened(t, token)
	files := func() int {
		list, err := filepath.Glob(filepath.Join(token.Dir, "*.object"))
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := files()
	for _, row := range d.Info().Specs {
		if row.Spec.Algorithm == driver.RSA3072 || row.Spec.Algorithm == driver.RSA4096 {
			continue
		}
		everyWay(t, d, row)
		spoiled := make([]byte, 31)
		if row.Import {
			if _, err := d.(driver.Importer).ImportKey(t.Context(), freshID(), row.Spec, spoiled); !is(err, driver.Invalid) {
				t.Errorf("ImportKey of %v with 31 bytes: %v, want Invalid", row.Spec, err)
			}
		}
	}
	for id, err := range d.(driver.Lister).ListKeys(t.Context()) {
		if err == nil {
			err = d.DestroyKey(t.Context(), id, nil)
		}
		if err != nil {
			t.Error(err)
		}
	}
	if after := files(); after != before {
		t.Errorf("%d objects in the token before and %d after, want the same", before, after)
	}
}
