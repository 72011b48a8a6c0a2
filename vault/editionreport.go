package vault

import (
	"crypto/fips140"
	"fmt"
	"maps"
	"slices"
)

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
	r := reportEdition(v.cfg.Edition)
	if r.Edition == FIPS {
		for _, name := range slices.Sorted(maps.Keys(v.cfg.Drivers)) {
			r.OutsideModule = append(r.OutsideModule, fmt.Sprintf("keys in device %q: by the module of the device", name))
		}
	}
	return r
}

func reportEdition(e Edition) EditionReport {
	id := suiteOf(e)
	r := EditionReport{Edition: e, Suite: id.String(), Signature: id.Signature(), Module: moduleOf(e)}
	for _, x := range exclusions {
		if x.edition == e {
			r.Refused = append(r.Refused, x.alg)
		}
	}
	switch e {
	case FIPS:
		r.Refused = append(r.Refused, "Argon2id", "keys below 112 bits")
		r.OutsideModule = append(r.OutsideModule, outsideModule...)
		r.NotApproved = append(r.NotApproved, restingKeys)
	case SM:
		r.Refused = append(r.Refused, "Argon2id")
		r.NotApproved = append(r.NotApproved, restingKeys, "CMKs of RSA, NIST curves, Ed25519 and HMAC_256, where a caller makes them: the algorithms of their spec")
	}
	return r
}

// restingKeys describes memguard's cryptography, which every edition uses.
const restingKeys = "data keys at rest in this process's memory, between two uses: memguard's enclave (XSalsa20-Poly1305, BLAKE2b). The memory is locked as well, and nothing of it is stored"

// outsideModule lists what this project implements itself with the primitives of Go's
// module.
var outsideModule = []string{
	"key derivation in counter mode (SP 800-108r1), over the module's HMAC-SHA-256",
	"the iteration of PBKDF2 (SP 800-132), over the module's HMAC-SHA-256",
	"randomness for ids, salts and data keys: the module's generator, hedged by HMAC-SHA-256 with a key of the vault",
	"AES key unwrapping of imports (SP 800-38F), over the module's AES",
	"the check of imported RSA primes",
}

// moduleOf returns the name of the cryptographic module in use.
func moduleOf(e Edition) string {
	switch {
	case e == SM:
		return "uses github.com/emmansun/gmsm"
	case !fips140.Enabled():
		return "uses Go's standard library; its FIPS 140-3 module is off"
	case fips140.Enforced():
		return "uses Go's module " + fips140.Version() + " (enforced)"
	}
	return "uses Go's module " + fips140.Version() + " (in use)"
}

// editionDetail returns what the audit log records of the edition when a vault is opened.
func editionDetail(e Edition) map[string]string {
	return map[string]string{"edition": e.String(), "module": moduleOf(e)}
}
