package tpm_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"strongroom.example/driver/tpm"
	"strongroom.example/vault"
)

// TestChangedRootFileSealsNothing changes the TPM's blob in one copy of the root file, so
// that it seems to belong to another TPM, on a machine that was started in another state.
// Opening the vault by the recovery code must not seal the root to that state.
func TestChangedRootFileSealsNothing(t *testing.T) {
	policy := tpm.Policy{PCRs: []uint{7}}
	m, recovery, ciphertext := newMachine(t, newTPM(t), policy)
	p := protector(t, m.Driver, policy)
	m.opens(t, ciphertext, "before", p)
	good := map[string][]byte{}
	for _, file := range []string{"root", "root.copy"} {
		b, err := os.ReadFile(filepath.Join(m.dir, file))
		if err != nil {
			t.Fatal(err)
		}
		good[file] = b
	}
	extend(t, m.Driver, 7)
	for file, b := range good {
		if err := os.WriteFile(filepath.Join(m.dir, file), withOtherParent(t, b), 0o600); err != nil {
			t.Fatal(err)
		}
		m.opens(t, ciphertext, file+" was changed, by the recovery code", p, recovery)
		m.stays(t, vault.ErrUnlock, file+" was changed: nothing was sealed to the present state", p)
		if got, err := os.ReadFile(filepath.Join(m.dir, file)); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%s was changed: the vault did not repair it (%v)", file, err)
		}
	}
}

// withOtherParent changes the parent's name in the TPM's blob in a root file, and
// corrects both unkeyed hashes.
func withOtherParent(t *testing.T, b []byte) []byte {
	t.Helper()
	b = bytes.Clone(b)
	at := bytes.Index(b, []byte("SRQ\x01"))
	if at < 0 {
		t.Fatal("the root file has no blob of a TPM")
	}
	size := int(b[at-2])<<8 | int(b[at-1])
	blob := b[at : at+size]
	blob[4+1+2+5] ^= 1
	check := sha256.Sum256(append([]byte("strongroom tpm sealed root\x00"), blob[:size-32]...))
	copy(blob[size-32:], check[:])
	sum := sha256.Sum256(b[:len(b)-32])
	copy(b[len(b)-32:], sum[:])
	return b
}
