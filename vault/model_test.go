package vault_test

import (
	"testing"

	"strongroom.example/internal/testing/heavy"
	"strongroom.example/internal/testing/vaultmodel"
	"strongroom.example/vault"
)

// TestModel compares vaults of the software engine with the model.
func TestModel(t *testing.T) {
	t.Parallel()
	vaultmodel.Run(t, vault.Config{}, heavy.Count(t, "STRONGROOM_MODEL_STEPS", 20_000))
}
