package pkcs11

import (
	"errors"
	"path/filepath"
)

// A Config says which token to use, and how.
type Config struct {
	// Module is the absolute path of the token's PKCS #11 module.
	Module string
	// Args is what the module wants at its initialisation, as pReserved: the NSS
	// softoken and YubiHSM take a configuration there. Most take nothing.
	Args string
	// Serial and Label choose the token; what is set must match, and just one token
	// may. A slot's number is no choice, since it changes.
	Serial, Label string
	// PIN says where the user PIN comes from.
	PIN PIN
	// Profile names an entry of the table of profiles: what is known of a kind of
	// token. Empty chooses by the token's manufacturer and model.
	Profile string
	// MaxSessions bounds the sessions that are used side by side; the token may
	// allow fewer. 0 is the profile's default.
	MaxSessions int
	// Without names abilities that the self-test does not try and the driver does not
	// offer. It is for a token, or a gateway before it, that fails for good when one is
	// tried. Keys that need one do not open.
	Without []Ability
}

var errNoToken = errors.New("name the token by its serial number or its label")

// check says what is wrong before anything is loaded.
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
