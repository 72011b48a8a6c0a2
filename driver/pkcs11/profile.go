package pkcs11

import (
	"fmt"
	"slices"
	"strings"

	"strongroom.example/driver"
)

// A profile is what is known of a kind of token and cannot be found out by trying.
type profile struct {
	name string
	// manufacturer begins what such a token says of itself; empty for those that are
	// chosen by name alone.
	manufacturer string
	// level is that of generic only where the token's slot says that it is a device.
	level driver.ProtectionLevel
	// sessions is how many are used side by side; 0 for what suits a local token.
	sessions int
	// randomChunk is the most that one C_GenerateRandom gives; 0 for no limit.
	randomChunk int
	// payload is the most that one AES-GCM call takes.
	payload int
	// deviceIV: the token makes the AES-GCM iv and writes it over the caller's zeros.
	deviceIV bool
	// noLogin: the token checks no PIN.
	noLogin bool
	// noSessionObjects: all that the token makes lasts. The self-test then makes keys that
	// last, and destroys them.
	noSessionObjects bool
	// hmacKind is the type of HMAC keys; 0 for CKK_GENERIC_SECRET.
	hmacKind uint
	// parallel: keys may be made and destroyed side by side. Elsewhere that is done one at a
	// time in a token, because some modules crash or show an object twice otherwise.
	parallel bool
	// leftOut is Config.Without.
	leftOut []Ability
	// source says where the entries that differ from generic come from.
	source string
}

// without reports whether the configuration leaves an ability out.
func (p profile) without(a Ability) bool { return slices.Contains(p.leftOut, a) }

const maxPayload = 64 << 10

// genericName is the profile of tokens of no known kind.
const genericName = "generic"

// ckkSHA256HMAC is the key type of HMAC with SHA-256 (PKCS #11 v3.0).
const ckkSHA256HMAC = 0x2b

// profiles is the table. What stands first is taken for tokens of no known kind. No
// entry but those of SoftHSM and NSS was tried on the token itself.
func profiles() []profile {
	return []profile{
		{name: genericName, level: driver.LevelHSM, payload: maxPayload, randomChunk: 1024},
		{name: "softhsm", manufacturer: "SoftHSM", level: driver.LevelSoftware, payload: maxPayload, parallel: true,
			source: "keys are files of this machine, enciphered under the PIN (SoftHSMv2 README)"},
		{name: "nss", manufacturer: "Mozilla Foundation", level: driver.LevelSoftware, payload: maxPayload, randomChunk: 1024,
			source: "keys are in a database of this machine; two threads that write to it wait for each other for ever; C_GenerateRandom of 1 MiB is CKR_ARGUMENTS_BAD, and a key that is not extractable is wrapped all the same (measured, NSS 3.87)"},
		{name: "cloudhsm", manufacturer: "Marvell", level: driver.LevelHSM, sessions: 32, payload: 16 << 10, randomChunk: 1024, deviceIV: true,
			source: "AWS CloudHSM user guide, PKCS #11 mechanism annotations: 16 KiB for AES-GCM, the iv is 12 zero bytes that the HSM overwrites; attribute table: a public key's CKA_PRIVATE is true if it is set, and the roles of recovery go with those of signing, so that key pairs are made by the template that leaves them out. Not tried on the device: that, that the iv is written back, and that the objects which count sealings may share a label"},
		{name: "luna", manufacturer: "SafeNet", level: driver.LevelHSM, sessions: 32, payload: maxPayload, randomChunk: 1024,
			source: "Thales Luna SDK reference: network appliance; with FIPS mode on, the iv follows the tag, which the self-test does not accept, so that AES-GCM is not offered"},
		{name: "nshield", manufacturer: "nCipher", level: driver.LevelHSM, sessions: 32, payload: maxPayload, randomChunk: 1024,
			source: "nShield PKCS #11 guide: objects of other processes are seen after a new C_Initialize only, unless CKNFAST_ASSUME_SINGLE_PROCESS=0"},
		{name: "yubihsm", manufacturer: "Yubico", level: driver.LevelHSM, sessions: 8, payload: 2 << 10, randomChunk: 1024, noSessionObjects: true, hmacKind: ckkSHA256HMAC,
			source: "YubiHSM 2 user guide: 16 sessions in the device for all its users, though the token information claims no limit; 2 KiB a message, so that HMAC and Ed25519 fail above that; the PIN is the authentication key's id in 4 hexadecimal digits and its password; it has no AES-GCM; yubihsm_pkcs11: no session objects, HMAC keys have a type of their own. Not tried on the device: any of it. Each start of a process writes some ten objects and destroys them; RSA_AES_KEY_WRAP, which needs a session object, is not offered"},
		{name: "kmsp11", manufacturer: "Google", level: driver.LevelHSM, sessions: 64, payload: maxPayload, randomChunk: 1024, noLogin: true,
			source: "Cloud HSM PKCS #11 library user guide: no login, 8 to 1,024 bytes of random, where fewer than 8 at the end of a request fail; keys are made with two attributes only, which the driver does not accept"},
	}
}

// profileNamed finds a profile by name; empty finds generic.
func profileNamed(name string) (profile, error) {
	for _, p := range profiles() {
		if p.name == name || name == "" {
			return p, nil
		}
	}
	return profile{}, fmt.Errorf("there is no profile of that name among %s", strings.Join(profileNames(), ", "))
}

func profileNames() []string {
	var names []string
	for _, p := range profiles() {
		names = append(names, p.name)
	}
	return names
}
