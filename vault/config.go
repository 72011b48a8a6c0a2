package vault

import (
	"encoding/hex"
	"fmt"
	"maps"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/clock"
	"strongroom.example/keystore"
)

// An Edition determines a vault's algorithms. It never changes.
type Edition = driver.Edition

// The editions. EditionReport describes each.
const (
	Standard = driver.Standard
	// FIPS restricts the vault to approved algorithms. Create and Open fail with
	// ErrUnsupported unless the process uses Go's FIPS 140-3 module (GODEBUG=fips140=on or
	// only, or a build with GOFIPS140).
	FIPS = driver.FIPS
	// SM restricts the vault itself to SM2, SM3 and SM4. Create and Open fail with
	// ErrUnsupported in a process that enforces FIPS 140 (GODEBUG=fips140=only).
	SM = driver.SM
)

// softDriver is the name of the software engine, which is part of every vault.
const softDriver = "soft"

// Config configures a vault. The zero value is valid. The vault stores nothing of it except
// the edition, so pass the same Config to Create and to every Open.
type Config struct {
	// Edition is chosen at Create and checked at each Open. The root file holds it under its
	// MAC, and each protector's blob is bound to it.
	Edition Edition
	// Owner is the principal that may do everything while Authorizer is nil. Empty means
	// DefaultOwner.
	Owner Principal
	// Authorizer decides every request. If it is nil, Owner may do everything and all other
	// principals nothing.
	Authorizer Authorizer
	// Drivers are the devices for keys, by the names that CMKs refer to. The name "soft" is
	// reserved for the software engine. The caller closes the drivers after the vault.
	Drivers map[string]driver.Driver
	// Driver names the driver for new keys unless KeyOptions names another. Empty means
	// "soft". Keys whose spec the driver does not support, or supports only slowly
	// (driver.SpecInfo), are made on "soft".
	Driver string
	// MinLevel is the lowest protection level that new material of CMKs may have; see
	// KeyOptions.MinLevel. Existing keys remain usable at every level. Empty means any
	// level.
	MinLevel driver.ProtectionLevel
	// AcceptLossWithMachine permits a vault whose every protector is bound to this machine:
	// if the machine is lost, the vault is lost too.
	AcceptLossWithMachine bool
	// VaultID and LogKey pin the vault: Open returns ErrWrongVault, and changes nothing, if
	// the directory holds another vault. Their values are those that Vault.ID and
	// Vault.LogKey return; note them after Create and keep them outside the directory.
	//
	// Without a pin, an attacker who may write to the directory can put another vault there,
	// and one that is sealed to the same TPM opens without any secret. LogKey alone pins the
	// vault's secrets. VaultID alone pins only its name, which is public. Create returns
	// ErrInvalid if either is set. Empty means not pinned.
	VaultID, LogKey string
	// UnlockWork bounds the work that Open does for one root file before that file is
	// authenticated, summed over all protectors and entries, in the unit of
	// driver.WorkEstimator. Open does not try an entry that would exceed it. AddProtector,
	// RotateRoot and Create return ErrTooLarge if the entries of one kind together exceed
	// it. 0 means 32,768: the work of two passphrases at the upper limits of package soft,
	// or of 170 with its defaults.
	UnlockWork uint64
	// MinFree is the number of bytes that must remain free on the disk. Below it,
	// operations that make something (ciphertexts, signatures, keys, data keys, imports)
	// fail with ErrStorageFull. Open, Close, decryption, verification, reading, DisableKey
	// and deletions work until a quarter of it, at least 4 MiB, is left. Below that every
	// operation fails with ErrStorageFull, because each commits an audit record; Close
	// releases the vault, but cannot record that. 0 means 16 MiB.
	MinFree uint64

	patience   time.Duration // see const patience
	stirEvery  time.Duration // see const stirEvery
	clock      clock.Clock
	openEngine func(dir string) (keystore.Engine, error)
}

// withDefaults checks c and replaces zero fields by their defaults.
func (c Config) withDefaults() (Config, error) {
	if c.Edition > SM {
		return c, fmt.Errorf("%w: edition %d is not known", ErrInvalid, c.Edition)
	}
	if err := checkProcess(c.Edition); err != nil {
		return c, err
	}
	if c.Owner == "" {
		c.Owner = DefaultOwner
	}
	if fault := c.Owner.fault(); fault != "" {
		return c, invalid("Config.Owner: %s", fault)
	}
	if c.Authorizer == nil {
		c.Authorizer = ownerOnly{c.Owner}
	}
	if c.Driver == "" {
		c.Driver = softDriver
	}
	if _, taken := c.Drivers[softDriver]; taken {
		return c, invalid("the driver name %q is taken by the software engine", softDriver)
	}
	if _, known := c.Drivers[c.Driver]; !known && c.Driver != softDriver {
		return c, invalid("Config.Driver %q is not among Config.Drivers", c.Driver)
	}
	c.Drivers = maps.Clone(c.Drivers)
	if err := checkLevelName("Config.MinLevel", c.MinLevel); err != nil {
		return c, err
	}
	for name, d := range c.Drivers {
		if d == nil {
			return c, invalid("Config.Drivers has nothing under %q", name)
		}
	}
	if c.VaultID != "" && !isVaultID(c.VaultID) {
		return c, invalid("Config.VaultID has to be what Vault.ID returns, 32 lower-case hexadecimal digits")
	}
	if c.UnlockWork == 0 {
		c.UnlockWork = defaultUnlockWork
	}
	if c.patience == 0 {
		c.patience = patience
	}
	if c.stirEvery == 0 {
		c.stirEvery = stirEvery
	}
	if c.clock == nil {
		c.clock = clock.System()
	}
	return c, nil
}

// isVaultID reports whether s has the form of a vault's id.
func isVaultID(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 16 && hex.EncodeToString(b) == s
}
