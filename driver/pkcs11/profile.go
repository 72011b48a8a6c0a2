package pkcs11

import (
	"fmt"
	"slices"
	"strings"

	"strongroom.example/driver"
)

// A profile has the properties of a kind of token that a trial cannot determine.
type profile struct {
	name string
	// manufacturer is the beginning of the manufacturer that the token reports. It is
	// empty for a profile that is selected by name only.
	manufacturer string
	// level is the protection level. For generic it applies only if the token's slot
	// reports a hardware device.
	level driver.ProtectionLevel
	// sessions is the number of concurrent sessions; 0 means the default for a local
	// token.
	sessions int
	// randomChunk is the most bytes that one C_GenerateRandom returns; 0 means no limit.
	randomChunk int
	// payload is the most bytes that one AES-GCM call accepts.
	payload int
	// deviceIV: the token generates the AES-GCM iv and writes it over the caller's zeros.
	deviceIV bool
	// noLogin: the token does not check a PIN.
	noLogin bool
	// noSessionObjects: the token makes only persistent objects. The self-test then makes
	// persistent keys and destroys them.
	noSessionObjects bool
	// hmacKind is the key type of HMAC keys; 0 means CKK_GENERIC_SECRET.
	hmacKind uint
	// parallel: keys may be made and destroyed concurrently. Without it that is done one
	// at a time, because some modules otherwise crash or show an object twice.
	parallel bool
	// leftOut is Config.Without.
	leftOut []Ability
	// source is the origin of the values that differ from generic.
	source string
}

// without reports whether the configuration leaves an ability out.
func (p profile) without(a Ability) bool { return slices.Contains(p.leftOut, a) }

const maxPayload = 64 << 10

// genericName is the profile of tokens of no known kind.
const genericName = "generic"

// ckkSHA256HMAC is the key type of HMAC with SHA-256 (PKCS #11 v3.0).
const ckkSHA256HMAC = 0x2b

// profiles returns the table of profiles. The first is for tokens of unknown kind. Only
// the entries of SoftHSM and NSS were tested with the token itself.
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

// profileNamed returns a profile by name. An empty name returns generic.
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
