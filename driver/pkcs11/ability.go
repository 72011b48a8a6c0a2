package pkcs11

import (
	"fmt"
	"slices"
	"strings"

	"strongroom.example/driver"
)

// An Ability is something that the self-test tries, and that Config.Without leaves out. The
// name of a key algorithm (a [driver.KeyAlgorithm]) is one as well: then no key of it is
// tried, made or opened. RSA keys are tried with 2048 bits, so that without RSA_2048 there
// are none.
type Ability string

// The abilities that are no key algorithms.
const (
	// AbilityRandom is the token's generator of random numbers.
	AbilityRandom Ability = "random"
	// AbilityWrappedImport is taking keys in that are wrapped for the token.
	AbilityWrappedImport Ability = "wrapped-import"
	// AbilityUnwrapTemplate is CKA_UNWRAP_TEMPLATE, whose value holds pointers. It is tried
	// last, and only where module and token name one maker: some gateways, which pass calls
	// on to another process, die of it.
	AbilityUnwrapTemplate Ability = "unwrap-template"
)

// abilityNames are all that Config.Without takes.
func abilityNames() []Ability {
	names := []Ability{AbilityRandom, AbilityWrappedImport, AbilityUnwrapTemplate}
	for _, alg := range []driver.KeyAlgorithm{
		driver.HMACSHA256, driver.AES256GCM, driver.RSA2048, driver.RSA3072, driver.RSA4096, driver.ECP256, driver.ECP384, driver.ECP521, driver.Ed25519,
	} {
		names = append(names, Ability(alg))
	}
	return names
}

// checkAbilities refuses names that are none.
func checkAbilities(list []Ability) error {
	names := abilityNames()
	for _, a := range list {
		if !slices.Contains(names, a) {
			return fmt.Errorf("an entry of Config.Without is no ability; the abilities are %v", names)
		}
	}
	return nil
}

// parseAbilities reads the value of x-without, which has commas between the names.
func parseAbilities(text string) (list []Ability) {
	for name := range strings.SplitSeq(text, ",") {
		list = append(list, Ability(name))
	}
	return list
}
