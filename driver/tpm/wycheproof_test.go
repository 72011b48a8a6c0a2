package tpm_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/vectors"
)

// TestWycheproof runs the vectors over keys that are imported into the TPM.
func TestWycheproof(t *testing.T) {
	d := openFresh(t)
	vectors.Run(t, vectors.Subject{Info: d.Info(), Files: 14, Import: func(t *testing.T, spec driver.KeySpec, material []byte) (driver.Key, func(), error) {
		id := driver.MaterialID{1}
		made, err := d.ImportKey(t.Context(), id, spec, material)
		if err != nil {
			return nil, nil, err
		}
		key, err := d.OpenKey(t.Context(), id, spec, made.Blob)
		if err != nil {
			t.Fatal(err)
		}
		return key, func() { key.Close() }, nil
	}})
}

var (
	rsaSign    = driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Sign}
	rsaDecrypt = driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Decrypt}
)
