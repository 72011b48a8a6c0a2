package tpm_test

import (
	"slices"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/heavy"
	"strongroom.example/internal/testing/testtoken"
	"strongroom.example/internal/testing/vaultmodel"
	"strongroom.example/internal/testing/vaultsuite"
	"strongroom.example/vault"
)

// eager is a TPM that does not report Slow, so that the suite creates keys of every kind
// in it.
type eager struct{ *tpm.Driver }

// Info returns the TPM's Info without Slow.
func (d eager) Info() driver.Info {
	info := d.Driver.Info()
	info.Specs = slices.Clone(info.Specs)
	for i := range info.Specs {
		info.Specs[i].Slow = false
	}
	return info
}

// TestVault runs the suite of the vault's API with one TPM as default driver and another
// as protector, because a software TPM serves one client at a time.
func TestVault(t *testing.T) {
	t.Parallel()
	guard := openFresh(t)
	chips := make(map[driver.Driver]*testtoken.SWTPM)
	config := func(t *testing.T, s *testtoken.SWTPM) vault.Config {
		d, err := tpm.Open(t.Context(), tpm.Config{Device: "unix:" + s.Socket(), Counter: 0x01500001})
		if err != nil {
			t.Fatal(err)
		}
		chips[eager{d}] = s
		return vault.Config{Drivers: map[string]driver.Driver{"tpm": eager{d}}, Driver: "tpm", AcceptLossWithMachine: true}
	}
	fresh := func(st *testing.T) vault.Config { return config(st, newTPM(t)) }
	vaultsuite.Run(t, vaultsuite.Harness{
		Config:    fresh,
		Other:     fresh,
		Reopen:    func(st *testing.T, cfg vault.Config) vault.Config { return config(st, chips[cfg.Drivers["tpm"]]) },
		Protector: func(t *testing.T) driver.Protector { return protector(t, guard, tpm.Policy{}) },
		LeaveOut:  func(spec vault.KeySpec) bool { return spec == "RSA_3072" || spec == "RSA_4096" },
	})
}

// TestVaultModel compares vaults whose keys are in a TPM with the model.
func TestVaultModel(t *testing.T) {
	t.Parallel()
	d, err := tpm.Open(t.Context(), tpm.Config{Device: "unix:" + newTPM(t).Socket(), Counter: 0x01500001})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	cfg := vault.Config{Drivers: map[string]driver.Driver{"tpm": eager{d}}, Driver: "tpm"}
	vaultmodel.Run(t, cfg, heavy.Count(t, "STRONGROOM_MODEL_STEPS", 200))
}
