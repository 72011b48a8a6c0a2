package rootunlock

import (
	"encoding/hex"
	"fmt"
	"slices"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/fault"
	"strongroom.example/vault/internal/vaultsecrets"
)

// A Pin is what the configuration says of the vault in a directory. VaultID and LogKey may be
// empty.
type Pin struct {
	VaultID, LogKey string
	Edition         driver.Edition
	Suite           keystore.Suite
}

// IDText returns the text of a vault's id.
func IDText(id [16]byte) string { return hex.EncodeToString(id[:]) }

// IsVaultID reports whether s has the form of a vault's id.
func IsVaultID(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 16 && hex.EncodeToString(b) == s
}

// Candidates reads the root files in dir that may be the vault's: those with the configured
// edition and, if it is pinned, the configured id. Their contents are not authenticated
// yet.
func (p Pin) Candidates(dir string) ([]*keystore.Root, error) {
	files, err := keystore.ReadRoots(dir)
	if err != nil {
		return nil, err
	}
	first := files[0]
	files = slices.DeleteFunc(files, func(f *keystore.Root) bool {
		return p.VaultID != "" && IDText(f.VaultID) != p.VaultID
	})
	if len(files) == 0 {
		return nil, OtherVault("id", IDText(first.VaultID), p.VaultID)
	}
	first = files[0]
	files = slices.DeleteFunc(files, func(f *keystore.Root) bool {
		return driver.Edition(f.Edition) != p.Edition || f.Suite() != p.Suite
	})
	if len(files) > 0 {
		return files, nil
	}
	if edition := driver.Edition(first.Edition); edition != p.Edition {
		return nil, fault.Invalid("the vault's edition is %v; Config.Edition says %v", edition, p.Edition)
	}
	return nil, fmt.Errorf("%w: the root file names suite %v, which is not the suite of its edition", fault.ErrCorrupt, first.Suite())
}

// Check rejects an authenticated root file of another vault than Config pins.
func (p Pin) Check(f *keystore.Root, arena *lockedmem.Arena, secret func(label string, dst []byte)) error {
	if p.VaultID != "" && IDText(f.VaultID) != p.VaultID {
		return OtherVault("id", IDText(f.VaultID), p.VaultID)
	}
	if p.LogKey == "" {
		return nil
	}
	seed, err := arena.Alloc(vaultsecrets.Size)
	if err != nil {
		return err
	}
	defer seed.Free()
	secret(vaultsecrets.LogLabel, seed.Bytes())
	key, err := audit.NewLogKey(audit.Suite(f.Suite()), audit.Origin(IDText(f.VaultID)), seed.Bytes())
	if err != nil {
		return err
	}
	defer key.Wipe()
	if found := key.Verifier(); found != p.LogKey {
		return OtherVault("log key", found, p.LogKey)
	}
	return nil
}

// OtherVault returns the error for a vault other than the pinned one.
func OtherVault(what, found, pinned string) error {
	return fmt.Errorf("%w: its %s is %.200q, but Config pins %.200q; use the right directory, "+
		"or find out why it was exchanged", fault.ErrWrongVault, what, found, pinned)
}
