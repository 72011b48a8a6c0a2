package pkcs11

import (
	"fmt"
	"slices"
	"strings"

	"strongroom.example/driver"
)

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
		driver.HMACSHA256, driver.AES256GCM, driver.RSA2048, driver.RSA3072, driver.RSA4096, driver.ECP256, driver.ECP384, driver.ECP521, driver.Ed25519,
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
