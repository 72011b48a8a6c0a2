package vault

import (
	"fmt"
	"slices"

	"strongroom.example/driver"
)

// levels lists the protection levels, the weakest first.
var levels = []driver.ProtectionLevel{driver.LevelSoftware, driver.LevelTPM, driver.LevelHSM}

// checkLevelName returns ErrInvalid for a level that is not empty and not one of levels.
func checkLevelName(what string, l driver.ProtectionLevel) error {
	if l != "" && !slices.Contains(levels, l) {
		return invalid("%s is %.80q; it is one of %v, or empty", what, l, levels)
	}
	return nil
}

// minLevel returns the stricter of a CMK's minimum level and the vault's, and the name of
// its source. least is empty if neither is set.
func (v *Vault) minLevel(of driver.ProtectionLevel) (least driver.ProtectionLevel, whose string) {
	if slices.Index(levels, v.cfg.MinLevel) > slices.Index(levels, of) {
		return v.cfg.MinLevel, "Config.MinLevel"
	}
	return of, "KeyOptions.MinLevel"
}

// checkLevel returns ErrUnsupported for a version whose protection level is below the
// minimum of its CMK or of the vault.
func (v *Vault) checkLevel(least driver.ProtectionLevel, ver version) error {
	least, whose := v.minLevel(least)
	if slices.Index(levels, ver.Level) >= slices.Index(levels, least) {
		return nil
	}
	return fmt.Errorf("%w: driver %q would protect %s at level %s, and %s is %s; name a driver of that level in KeyOptions.Driver or Config.Driver",
		ErrUnsupported, ver.Driver, ver.spec(), ver.Level, whose, least)
}
