package vault

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/clock"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/editionrules"
	"strongroom.example/vault/internal/rootunlock"
	"strongroom.example/vault/internal/tasks"
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

// defaultUnlockWork is the default of Config.UnlockWork. It is twice the work of the most
// expensive passphrase that package soft accepts, and 170 times the work of soft's default.
const defaultUnlockWork = 32768

// Config configures a vault. The zero value is valid. The vault stores nothing of it except
// the edition, so pass the same Config to Create and to every Open.
type Config struct {
	// Edition is chosen at Create and checked at each Open. The root file holds it under its
	// MAC, and each protector's blob is bound to it.
	Edition Edition
	// Owner is the principal that may do everything while Authorizer is nil and the vault
	// stores no policies. Empty means DefaultOwner.
	Owner Principal
	// Authorizer decides every request that no stored policies decide; see Policies. If it is
	// nil, Owner may do everything and all other principals nothing.
	Authorizer Authorizer
	// Policies compiles the policies that Client.PutPolicy stores in the vault; they decide
	// every request. Before the first PutPolicy, Authorizer decides. A vault with policies
	// needs Policies or an Authorizer to be opened: an Authorizer alone decides in place of the
	// stored policies, which is the remedy if they deny everything to every principal.
	Policies PolicyEngine
	// Limiter limits the rate of operations, which fail with ErrThrottled above it. nil means
	// no limit.
	Limiter Limiter
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
	// fail with ErrStorageFull. Open, Close, decryption, verification, reading, DisableKeys
	// and deletions work until a quarter of it, at least 4 MiB, is left. Below that every
	// operation fails with ErrStorageFull, because each commits an audit record; Close
	// releases the vault, but cannot record that. 0 means 16 MiB.
	MinFree uint64
	// Backup lets the vault write backups to a directory by itself. The result is in Health,
	// and each backup and each failure is recorded as OpBackup.
	Backup BackupSchedule
	// Scrub says how often the vault verifies its store in the background. The zero value
	// means once a week at 1 MiB per second; the first time ten minutes after Open. The
	// result is in Health, and damage that was not found before is recorded as OpScrub.
	Scrub ScrubSchedule

	// MinRotateInterval is the least time between two rotations of a CMK, by RotateKey or by
	// the vault itself; the Tencent Cloud model has 24 hours. The first rotation may follow
	// CreateKey at once. 0 means no limit.
	MinRotateInterval time.Duration

	// Clock is the source of the vault's times, for tests: package vaulttest has a clock that
	// a test sets. If it is nil, the vault reads the machine's clock, which on Linux counts
	// the time in suspend as well.
	Clock Clock

	taskTimeout  time.Duration // see tasks.DefaultTimeout
	reseedEvery  time.Duration // see const reseedEvery
	reseedWithin time.Duration // see const reseedWithin
	openEngine   func(dir string) (keystore.Engine, error)
}

// A Clock is the source of a vault's times; see Config.Clock. It must be safe for concurrent
// use.
type Clock interface {
	// Now returns the time of day.
	Now() time.Time
	// Boot returns an id of the machine's boot, and the time since boot, including suspend.
	// Nothing sets that time back during one boot. While the id stays the same, the vault
	// goes by it whenever the time of day is wrong.
	Boot() (id [16]byte, since time.Duration)
}

// withDefaults checks c and replaces zero fields by their defaults.
func (c Config) withDefaults() (Config, error) {
	if c.Edition > SM {
		return c, fmt.Errorf("%w: edition %d is not known", ErrInvalid, c.Edition)
	}
	if err := editionrules.CheckProcess(c.Edition); err != nil {
		return c, err
	}
	if c.Owner == "" {
		c.Owner = DefaultOwner
	}
	if fault := c.Owner.fault(); fault != "" {
		return c, invalid("Config.Owner: %s", fault)
	}
	c.setAuthorizer()
	if c.Driver == "" {
		c.Driver = softDriver
	}
	if _, taken := c.Drivers[softDriver]; taken {
		return c, invalid("the driver name %q is reserved for the software engine", softDriver)
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
			return c, invalid("Config.Drivers[%q] is nil", name)
		}
	}
	if c.MinRotateInterval < 0 {
		return c, invalid("Config.MinRotateInterval is negative")
	}
	if c.VaultID != "" && !rootunlock.IsVaultID(c.VaultID) {
		return c, invalid("Config.VaultID is not a vault id: 32 lower-case hexadecimal digits, as Vault.ID returns them")
	}
	var err error
	if c.Backup, err = c.Backup.withDefaults(c); err != nil {
		return c, err
	}
	if c.Scrub, err = c.Scrub.withDefaults(); err != nil {
		return c, err
	}
	if c.UnlockWork == 0 {
		c.UnlockWork = defaultUnlockWork
	}
	if c.taskTimeout == 0 {
		c.taskTimeout = tasks.DefaultTimeout
	}
	if c.reseedEvery == 0 {
		c.reseedEvery = reseedEvery
	}
	if c.reseedWithin == 0 {
		c.reseedWithin = reseedWithin
	}
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	return c, nil
}

// absolute returns dir as an absolute path, so that a later change of the working directory
// has no effect on the vault.
func absolute(dir string) (string, error) {
	if dir == "" || strings.ContainsRune(dir, 0) {
		return "", invalid("%q is not a valid directory name", dir)
	}
	return filepath.Abs(dir)
}

// An EditionReport describes the algorithms and modules by which a vault's edition is
// implemented in this process. It is not a statement of conformance.
type EditionReport struct {
	Edition Edition
	// Suite names the algorithms of the vault itself. Signature names the algorithm that
	// signs the audit log's checkpoints.
	Suite, Signature string
	// Module names the cryptographic module in use. In the FIPS edition it is "uses Go's
	// module" with the module's version. It never says that a module is validated: whether
	// that version has a certificate is for the reader to check, and the version "latest"
	// has none.
	Module string
	// Refused lists the algorithms that the edition does not allow.
	Refused []string
	// OutsideModule lists the computations that use approved algorithms but run outside Go's
	// module, and the devices. It is set for the FIPS edition only.
	OutsideModule []string
	// NotApproved lists the computations of this vault that use algorithms outside its
	// edition, with their purpose.
	NotApproved []string
}

// EditionReport describes how the vault's edition is implemented in this process.
func (v *Vault) EditionReport() EditionReport {
	e, id := v.cfg.Edition, v.suite
	r := EditionReport{
		Edition: e, Suite: id.String(), Signature: id.Signature(), Module: editionrules.ModuleOf(e),
		Refused: editionrules.Refused(e), OutsideModule: editionrules.OutsideModule(e), NotApproved: editionrules.NotApproved(e),
	}
	if e == FIPS {
		for _, name := range slices.Sorted(maps.Keys(v.cfg.Drivers)) {
			r.OutsideModule = append(r.OutsideModule, fmt.Sprintf("keys in device %q: by the module of the device", name))
		}
	}
	return r
}
