//go:build cgo && unix

package pkcs11_test

import (
	"path"
	"slices"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/heavy"
	"strongroom.example/internal/testing/testtoken"
	"strongroom.example/internal/testing/vaultsuite"
	"strongroom.example/internal/testing/vectors"
	"strongroom.example/vault"
)

// TestWycheproof runs the vectors over keys that are imported from the host.
func TestWycheproof(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		d, all := opened(t, token), heavy.All(t, "STRONGROOM_WYCHEPROOF")
		// NSS reads its database for each use of a key, so that long keys take minutes.
		short, onNSS := token.Label == "NSS Certificate DB" && !all, 31
		if short {
			onNSS = 19
		}
		rows := rowsOf(t, map[string]int{"SoftHSM": 31, "NSS": onNSS, "p11-kit": 30})
		leaveOut := func(file string) bool {
			return short && (strings.Contains(file, "4096") || strings.Contains(file, "3072"))
		}
		vectors.Run(t, vectors.Subject{Info: d.Info(), Files: rows, LeaveOut: leaveOut, Import: func(t *testing.T, spec driver.KeySpec, material []byte) (driver.Key, func(), error) {
			id := freshID()
			if _, err := d.(driver.Importer).ImportKey(t.Context(), id, spec, material); err != nil {
				return nil, nil, err
			}
			return openImported(t, d, id, spec)
		}})
	})
}

// TestWycheproofUnwrapped runs the vectors over keys that the token unwraps.
func TestWycheproofUnwrapped(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		d := opened(t, token)
		info := d.Info()
		info.Specs = slices.DeleteFunc(slices.Clone(info.Specs), func(row driver.SpecInfo) bool {
			return !slices.ContainsFunc(row.WrappedImport, driver.WrapAlg.TwoSteps)
		})
		// SoftHSM ignores the third prime, and the key works.
		leaveOut := func(file string) bool {
			return strings.Contains(file, "4096") || strings.Contains(file, "three_primes")
		}
		rows := rowsOf(t, map[string]int{"SoftHSM": 24, "NSS": 4, "p11-kit": 0})
		if rows <= 0 && len(info.Specs) == 0 {
			t.Skipf("%s %s imports no key that is wrapped in two steps", info.Device.Manufacturer, info.Device.Model)
		}
		with, public := wrappingPair(t, d)
		vectors.Run(t, vectors.Subject{Info: info, Files: rows, LeaveOut: leaveOut,
			Import: func(t *testing.T, spec driver.KeySpec, material []byte) (driver.Key, func(), error) {
				row, _ := info.Find(spec)
				alg := row.WrappedImport[slices.IndexFunc(row.WrappedImport, driver.WrapAlg.TwoSteps)]
				return importUnwrapped(t, d, spec, driver.Wrapped{With: with, Alg: alg, Ciphertext: wrapBy(t, alg, public, material)})
			}})
	})
}

// TestWycheproofVault runs the vectors with the CMKs of a vault whose keys are in the token.
func TestWycheproofVault(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		host, device := map[string]int{"SoftHSM": 7, "NSS": 7, "p11-kit": 7}, map[string]int{"SoftHSM": 5, "NSS": 0, "p11-kit": 0}
		if heavy.All(t, "STRONGROOM_WYCHEPROOF") {
			host, device = map[string]int{"SoftHSM": 28, "NSS": 28, "p11-kit": 27}, map[string]int{"SoftHSM": 27, "NSS": 4, "p11-kit": 0}
		}
		config := func(t *testing.T) vault.Config {
			return vault.Config{Drivers: map[string]driver.Driver{"token": open(t, token)}, Driver: "token"}
		}
		rows := map[vault.ImportPath]int{vault.PathHost: rowsOf(t, host), vault.PathDevice: rowsOf(t, device)}
		vaultsuite.Wycheproof(t, vaultsuite.Harness{Config: config}, rows)
	})
}

// rowsOf returns the expected number of rows of a token, by the name of its subtest.
func rowsOf(t *testing.T, rows map[string]int) int {
	t.Helper()
	n, ok := rows[path.Base(t.Name())]
	if !ok {
		return -1 // a token that the environment names: all rows that it has
	}
	return n
}

func importUnwrapped(t *testing.T, d driver.Driver, spec driver.KeySpec, w driver.Wrapped) (driver.Key, func(), error) {
	t.Helper()
	id := freshID()
	if _, err := d.(driver.WrappedImporter).ImportWrapped(t.Context(), id, spec, w); err != nil {
		return nil, nil, err
	}
	return openImported(t, d, id, spec)
}

// openImported opens a key. done closes and destroys it.
func openImported(t *testing.T, d driver.Driver, id driver.MaterialID, spec driver.KeySpec) (driver.Key, func(), error) {
	t.Helper()
	key, err := d.OpenKey(t.Context(), id, spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key, func() {
		key.Close()
		if err := d.DestroyKey(t.Context(), id, nil); err != nil {
			t.Error(err)
		}
	}, nil
}
