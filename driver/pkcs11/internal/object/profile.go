package object

import (
	"fmt"
	"slices"
	"strings"

	"strongroom.example/driver"
)

// A Profile has the properties of a kind of token that a trial cannot determine.
type Profile struct {
	Name string
	// manufacturer is the beginning of the manufacturer that the token reports. It is
	// empty for a profile that is selected by name only.
	manufacturer string
	// level is the protection level. For generic it applies only if the token's slot
	// reports a hardware device.
	level driver.ProtectionLevel
	// Sessions is the number of concurrent sessions; 0 means the default for a local
	// token.
	Sessions int
	// RandomChunk is the most bytes that one C_GenerateRandom returns; 0 means no limit.
	RandomChunk int
	// NoLogin: the token does not check a PIN.
	NoLogin bool
	// NoSessionObjects: the token makes only persistent objects. The self-test then makes
	// persistent keys and destroys them.
	NoSessionObjects bool
	// hmacKinds: HMAC keys have a key type for each hash, and not CKK_GENERIC_SECRET.
	hmacKinds bool
	// Parallel: keys may be made and destroyed concurrently. Without it that is done one
	// at a time, because some modules otherwise crash or show an object twice.
	Parallel bool
	// LeftOut has the names of the abilities that the configuration leaves out.
	LeftOut []string
	// source is the origin of the values that differ from generic.
	source string
}

// Without reports whether the configuration leaves an ability out.
func (p Profile) Without(ability string) bool { return slices.Contains(p.LeftOut, ability) }

// genericName is the profile of tokens of no known kind.
const genericName = "generic"

// profiles returns the table of profiles. The first is for tokens of unknown kind. Only
// the entries of SoftHSM and NSS were tested with the token itself.
func profiles() []Profile {
	return []Profile{
		{Name: genericName, level: driver.LevelHSM, RandomChunk: 1024},
		{Name: "softhsm", manufacturer: "SoftHSM", level: driver.LevelSoftware, Parallel: true,
			source: "keys are files of this machine, enciphered under the PIN (SoftHSMv2 README)"},
		{Name: "nss", manufacturer: "Mozilla Foundation", level: driver.LevelSoftware, RandomChunk: 1024,
			source: "keys are in a database of this machine; two threads that write to it wait for each other for ever; C_GenerateRandom of 1 MiB is CKR_ARGUMENTS_BAD, and a key that is not extractable is wrapped all the same (measured, NSS 3.87)"},
		{Name: "cloudhsm", manufacturer: "Marvell", level: driver.LevelHSM, Sessions: 32, RandomChunk: 1024,
			source: "AWS CloudHSM user guide, attribute table of the PKCS #11 library: a public key's CKA_PRIVATE is true if it is set, and the roles of recovery go with those of signing, so that key pairs are made by the template that leaves them out. Not tried on the device"},
		{Name: "luna", manufacturer: "SafeNet", level: driver.LevelHSM, Sessions: 32, RandomChunk: 1024,
			source: "Thales Luna SDK reference: network appliance"},
		{Name: "nshield", manufacturer: "nCipher", level: driver.LevelHSM, Sessions: 32, RandomChunk: 1024,
			source: "nShield PKCS #11 guide: objects of other processes are seen after a new C_Initialize only, unless CKNFAST_ASSUME_SINGLE_PROCESS=0"},
		{Name: "yubihsm", manufacturer: "Yubico", level: driver.LevelHSM, Sessions: 8, RandomChunk: 1024, NoSessionObjects: true, hmacKinds: true,
			source: "YubiHSM 2 user guide: 16 sessions in the device for all its users, though the token information claims no limit; 2 KiB a message, so that HMAC and Ed25519 fail above that; the PIN is the authentication key's id in 4 hexadecimal digits and its password; yubihsm_pkcs11: no session objects, HMAC keys have a type of their own. Not tried on the device: any of it. Each start of a process writes some ten objects and destroys them; RSA_AES_KEY_WRAP, which needs a session object, is not offered"},
		{Name: "kmsp11", manufacturer: "Google", level: driver.LevelHSM, Sessions: 64, RandomChunk: 1024, NoLogin: true,
			source: "Cloud HSM PKCS #11 library user guide: no login, 8 to 1,024 bytes of random, where fewer than 8 at the end of a request fail; keys are made with two attributes only, which the driver does not accept"},
	}
}

// ProfileByName returns a profile by name. An empty name returns generic.
func ProfileByName(name string) (Profile, error) {
	for _, p := range profiles() {
		if p.Name == name || name == "" {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("there is no profile of that name among %s", strings.Join(profileNames(), ", "))
}

func profileNames() []string {
	var names []string
	for _, p := range profiles() {
		names = append(names, p.Name)
	}
	return names
}
