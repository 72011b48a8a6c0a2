package vault_test

import (
	"crypto/fips140"
	"testing"

	"strongroom.example/internal/testing/heavy"
	"strongroom.example/internal/testing/vaultsuite"
	"strongroom.example/vault"
)

// TestWycheproof runs the vectors with CMKs of the software engine.
func TestWycheproof(t *testing.T) {
	t.Parallel()
	if fips140.Enforced() {
		t.Skip("the process enforces FIPS 140, which refuses OAEP with SHA-1")
	}
	rows := map[vault.ImportPath]int{vault.PathHost: 14, vault.PathDevice: 0}
	if heavy.All(t, "STRONGROOM_WYCHEPROOF") {
		rows[vault.PathHost] = 28
	}
	vaultsuite.Wycheproof(t, softHarness(vault.Standard), rows)
}
