package vaultsuite

import (
	"errors"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/vault"
)

// moves: a wrapped key of the software engine moves to the device. Ciphertexts and
// signatures from before remain valid, a receipt is recorded for each version, and the
// key cannot move back.
func moves(t *testing.T, s *subject) {
	x := s.faulty
	for _, r := range s.eachOnDevice(t) {
		t.Run(r.String(), func(t *testing.T) {
			k := x.create(t, vault.KeyOptions{Spec: r.spec, Usage: r.usage, Driver: softName})
			samples := []keySample{s.sampleOf(t, x, r, k)}
			if r.usage == vault.EncryptDecrypt {
				if _, err := x.owner().RotateKey(t.Context(), k.ID); err != nil {
					t.Fatal(err)
				}
				samples = append(samples, s.sampleOf(t, x, r, k))
			}
			_, can, _ := s.place(x, r)
			receipts, err := x.owner().MoveKey(t.Context(), k.ID, x.driver())
			if !can.Import {
				if !errors.Is(err, vault.ErrUnsupported) {
					t.Errorf("MoveKey to a device that cannot import the key: %v, want ErrUnsupported", err)
				}
				return
			}
			if err != nil || len(receipts) != len(samples) {
				t.Fatalf("MoveKey: %d receipts, %v, want one for each version", len(receipts), err)
			}
			for i, text := range receipts {
				checkReceipt(t, x, text, audit.Receipt{Key: k.ID, Version: uint32(i + 1), Device: s.info().Device.Serial})
			}
			s.hasMoved(t, x, k, can)
			allWork(t, x, samples)
			if _, err := x.owner().MoveKey(t.Context(), k.ID, softName); !errors.Is(err, vault.ErrNotExportable) {
				t.Errorf("back: %v, want ErrNotExportable", err)
			}
		})
	}
	k := x.key(t, s.each()[0])
	if _, err := x.owner().MoveKey(t.Context(), k.ID, "nobody"); !errors.Is(err, vault.ErrInvalid) {
		t.Errorf("MoveKey to a driver that does not exist: %v, want ErrInvalid", err)
	}
}

func checkReceipt(t *testing.T, x *home, text []byte, want audit.Receipt) {
	t.Helper()
	got, err := audit.OpenReceipt(text, x.vault.LogKey())
	if err != nil {
		t.Fatal(err)
	}
	if got.Key != want.Key || got.Version != want.Version || got.Device != want.Device || got.From.Driver != softName || got.To.Driver != x.driver() {
		t.Errorf("receipt %+v, want %+v", got, want)
	}
	text[len(text)/2] ^= 1
	if _, err := audit.OpenReceipt(text, x.vault.LogKey()); err == nil {
		t.Error("OpenReceipt of a changed receipt returned no error")
	}
}

// hasMoved checks the location in a key's description, and that it says that the material
// was outside the device.
func (s *subject) hasMoved(t *testing.T, x *home, k vault.Key, can driver.SpecInfo) {
	t.Helper()
	k.Driver = x.driver()
	if can.Resident {
		k.Residence, k.Level = vault.Resident, s.info().Level
	}
	got, err := x.owner().DescribeKey(t.Context(), k.ID)
	if err != nil || got.Driver != k.Driver || got.Residence != k.Residence || got.Level != k.Level || got.Provenance != vault.ProvenanceVault {
		t.Errorf("%+v, %v, want it as %+v", got, err, k)
	}
}
