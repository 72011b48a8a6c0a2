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

// An Edition fixes a vault's algorithms for its whole life.
type Edition = driver.Edition

// The editions. EditionReport says what each comes to.
const (
	Standard = driver.Standard
	// FIPS keeps to approved algorithms. Create and Open answer ErrUnsupported unless
	// the process uses Go's FIPS 140-3 module (GODEBUG=fips140=on or only, or a build
	// with GOFIPS140).
	FIPS = driver.FIPS
	// SM keeps to SM2, SM3 and SM4 for the vault itself. A process that enforces FIPS
	// 140 (GODEBUG=fips140=only) cannot have it: ErrUnsupported.
	SM = driver.SM
)

// softDriver is the name of the software engine, which every vault has.
const softDriver = "soft"

// Config is how a vault is opened. The zero value works. A vault keeps nothing of
// it but the edition, so that the same Config goes to Create and to Open.
type Config struct {
	// Edition is chosen at Create and checked at each Open: it stands in the root file,
	// under its MAC and bound into each protector.
	Edition Edition
	// Owner is the principal who may do everything while Authorizer is nil; empty
	// means DefaultOwner.
	Owner Principal
	// Authorizer decides every request; nil lets the owner do everything and all
	// others nothing.
	Authorizer Authorizer
	// Drivers are the devices for keys, by the name that CMKs refer to. The name
	// "soft" is taken by the software engine. The caller closes them, after the vault.
	Drivers map[string]driver.Driver
	// Driver is the one that new keys go to unless KeyOptions names another; empty
	// means "soft". Keys that it cannot do, or does slowly (driver.SpecInfo), go to
	// "soft".
	Driver string
	// MinLevel is the least protection that new material of CMKs may have; see
	// KeyOptions.MinLevel. Keys that are there already work at every level. Empty: any.
	MinLevel driver.ProtectionLevel
	// AcceptLossWithMachine allows a vault whose every protector is bound to this
	// machine: if the machine is lost, so is the vault.
	AcceptLossWithMachine bool
	// VaultID and LogKey pin the vault: Open returns ErrWrongVault, and changes nothing,
	// where the directory holds another one. They are what Vault.ID and Vault.LogKey
	// return; note them after Create and keep them outside the directory. Without a pin an
	// attacker who may write the directory can put another vault there: one that is sealed
	// to the same TPM opens without any secret. LogKey alone pins the vault's secrets;
	// VaultID alone only its name, which is public. Create returns ErrInvalid if either
	// is set. Empty: not pinned.
	VaultID, LogKey string
	// UnlockWork bounds the work that Open does for one root file before that file is
	// authenticated, summed over all protectors and entries, in the unit of
	// driver.WorkEstimator. An entry that would exceed it is not tried. AddProtector,
	// RotateRoot and Create return ErrTooLarge where the entries of one kind exceed it
	// together. 0 means 32,768, which two passphrases at soft's upper limits demand, or
	// 170 with its defaults.
	UnlockWork uint64
	// MinFree is how many bytes of disk must stay free; below, operations answer
	// ErrStorageFull. 0 means 16 MiB. Reading, Close and Open go on.
	MinFree uint64

	patience   time.Duration // see const patience
	stirEvery  time.Duration // see const stirEvery
	clock      clock.Clock
	openEngine func(dir string) (keystore.Engine, error)
}

// withDefaults fills in what the zero value leaves open.
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

// isVaultID reports whether s can be a vault's id.
func isVaultID(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 16 && hex.EncodeToString(b) == s
}
