//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/heavy"
	"strongroom.example/internal/testing/testtoken"
	"strongroom.example/internal/testing/vaultmodel"
	"strongroom.example/vault"
)

// TestVaultModel compares vaults whose keys are in a token with the model.
func TestVaultModel(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		cfg := vault.Config{Drivers: map[string]driver.Driver{"token": opened(t, token)}, Driver: "token"}
		vaultmodel.Run(t, cfg, heavy.Count(t, "STRONGROOM_MODEL_STEPS", 400))
	})
}
