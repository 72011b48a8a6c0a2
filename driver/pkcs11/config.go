package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/object"
	"strongroom.example/driver/pkcs11/internal/pin"
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
	// Profile is the kind of token: generic, softhsm, nss, cloudhsm, luna, nshield, yubihsm
	// or kmsp11. If it is empty, the token's manufacturer selects it.
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
	if _, err := object.ProfileByName(c.Profile); err != nil {
		return err
	}
	return pin.Source(c.PIN).Check(pin.Kind())
}

// A PIN is the source of the user PIN. At most one field is set. No field is set for a
// token with a keypad or without a login. The PIN is read for each login, except from a
// descriptor.
//
// There is no field for the PIN itself, because a PIN in a program, on its command line
// or in a URI is not secret.
type PIN struct {
	// File is the path of a file with the PIN; a relative path is resolved when the token
	// is opened. Others must have no permissions on it. Its group may have read
	// permission only, and only if the file belongs to root or the user of the process
	// and the group is one of the process's. This is how Kubernetes mounts a secret with
	// fsGroup.
	//
	// One newline at the end of the file, with or without a carriage return before it, is
	// not part of the PIN. A file that begins with a byte order mark, or has other white
	// space at the beginning or end, is refused before a login is attempted. The same
	// applies to FD and Credential. A PIN that ends with a space must come from Env or
	// Ask.
	File string
	// FD is a descriptor, above 2, from which the PIN is read once, after the token has
	// been found. The driver does not close it.
	FD int
	// Env names an environment variable. Every process of the same user can read its
	// value.
	Env string
	// Credential names a file in the directory that systemd provides for LoadCredential
	// (CREDENTIALS_DIRECTORY). Others must have no permissions on it. Its group may have
	// read permission, as systemd sets for a service with a user of its own.
	Credential string
	// Ask returns the PIN; the driver wipes the returned slice. It may be called at any
	// time, because a token may need a login at any time.
	Ask func(context.Context) ([]byte, error)
}

// An Ability is something that the self-test tries and that Config.Without leaves out.
// The name of a key algorithm (a [driver.KeyAlgorithm]) is also an ability: without it,
// no key of that algorithm is tried, made or opened. RSA keys are tried with 2048 bits,
// so without RSA_2048 no RSA keys are offered.
type Ability string

// The abilities other than key algorithms.
const (
	// AbilityRandom is the token's random number generator.
	AbilityRandom Ability = "random"
	// AbilityWrappedImport is the import of keys that are wrapped for the token.
	AbilityWrappedImport Ability = "wrapped-import"
	// AbilityUnwrapTemplate is CKA_UNWRAP_TEMPLATE, whose value contains pointers. It is
	// tried last, and only if the module and the token name the same manufacturer,
	// because some gateways, which forward calls to another process, crash on it.
	AbilityUnwrapTemplate Ability = "unwrap-template"
)

// abilityNames returns the names that Config.Without accepts.
func abilityNames() []Ability {
	names := []Ability{AbilityRandom, AbilityWrappedImport, AbilityUnwrapTemplate}
	for _, alg := range []driver.KeyAlgorithm{
		driver.HMACSHA256, driver.HMACSHA224, driver.HMACSHA384, driver.HMACSHA512, driver.RSA2048, driver.RSA3072, driver.RSA4096, driver.ECP256, driver.ECP384, driver.ECP521, driver.Ed25519,
	} {
		names = append(names, Ability(alg))
	}
	return names
}

// checkAbilities returns an error if the list has an unknown name.
func checkAbilities(list []Ability) error {
	names := abilityNames()
	for _, a := range list {
		if !slices.Contains(names, a) {
			return fmt.Errorf("an entry of Config.Without is no ability; the abilities are %v", names)
		}
	}
	return nil
}

// parseAbilities parses the value of x-without, names separated by commas.
func parseAbilities(text string) (list []Ability) {
	for name := range strings.SplitSeq(text, ",") {
		list = append(list, Ability(name))
	}
	return list
}
