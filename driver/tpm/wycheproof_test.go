package tpm_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/heavy"
	"strongroom.example/internal/testing/vaultsuite"
	"strongroom.example/internal/testing/vectors"
	"strongroom.example/vault"
)

// TestWycheproof runs the vectors over keys that are imported into the TPM.
func TestWycheproof(t *testing.T) {
	t.Parallel()
	d := openFresh(t)
	vectors.Run(t, vectors.Subject{Info: d.Info(), Files: 16, Import: func(t *testing.T, spec driver.KeySpec, material []byte) (driver.Key, func(), error) {
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

// TestWycheproofVault runs the vectors with the CMKs of a vault whose keys are in a TPM.
func TestWycheproofVault(t *testing.T) {
	host := 7
	if heavy.All(t, "STRONGROOM_WYCHEPROOF") {
		host = 15
	}
	config := func(t *testing.T) vault.Config {
		return vault.Config{Drivers: map[string]driver.Driver{"tpm": eager{openFresh(t)}}, Driver: "tpm", AcceptLossWithMachine: true}
	}
	vaultsuite.Wycheproof(t, vaultsuite.Harness{Config: config}, map[vault.ImportPath]int{vault.PathHost: host, vault.PathDevice: 0})
}

var (
	rsaSign    = driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Sign}
	rsaDecrypt = driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Decrypt}
)
