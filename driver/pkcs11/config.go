package pkcs11

import (
	"errors"
	"path/filepath"
)

// A Config selects a token and configures the driver for it.
type Config struct {
	// Module is the absolute path of the token's PKCS #11 module.
	Module string
	// Args is the module's initialisation argument, passed as pReserved: the
	// configuration for the NSS softoken and YubiHSM. Most modules have none.
	Args string
	// Serial and Label select the token. At least one must be set; the fields that are
	// set must match, and exactly one token may match. The slot number cannot be used,
	// because it changes.
	Serial, Label string
	// PIN is the source of the user PIN.
	PIN PIN
	// Profile names an entry of the table of profiles, which has the properties of a kind
	// of token. If it is empty, the token's manufacturer selects the profile.
	Profile string
	// MaxSessions bounds the sessions that are used concurrently; the token may allow
	// fewer. 0 means the profile's default.
	MaxSessions int
	// Without lists abilities that the self-test does not try and the driver does not
	// offer. It is for a token, or a gateway to it, that fails permanently when one is
	// tried. Keys that need such an ability cannot be opened.
	Without []Ability
}

var errNoToken = errors.New("name the token by its serial number or its label")

// check validates the configuration before a module is loaded.
func (c Config) check() error {
	if !filepath.IsAbs(c.Module) {
		return errors.New("give the absolute path of the PKCS #11 module")
	}
	if c.Serial == "" && c.Label == "" {
		return errNoToken
	}
	if c.MaxSessions < 0 {
		return errors.New("a negative number of sessions")
	}
	if err := checkAbilities(c.Without); err != nil {
		return err
	}
	if _, err := profileNamed(c.Profile); err != nil {
		return err
	}
	return c.PIN.check()
}
