package vault

import (
	"crypto/fips140"
	"fmt"
	"maps"
	"slices"
)

// An EditionReport says what a vault's edition comes to in this process. It speaks of
// algorithms and modules, and is no statement of conformance.
type EditionReport struct {
	Edition Edition
	// Suite names the algorithms of the vault itself; Signature is that of the audit
	// log's checkpoints.
	Suite, Signature string
	// Module says which cryptographic module computes. In the FIPS edition, "uses
	// Go's module" with its version; never that anything is validated. Whether the
	// module of that version has a certificate is for the reader to look up, and a
	// version "latest" has none.
	Module string
	// Refused lists the algorithms that the edition does without.
	Refused []string
	// OutsideModule lists what is computed by approved algorithms, but put together
	// outside Go's module, and the devices. Only for the FIPS edition.
	OutsideModule []string
	// NotApproved lists what this vault does compute by other algorithms than those
	// of its edition, and what for.
	NotApproved []string
}

// EditionReport says what the vault's edition comes to in this process.
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

// restingKeys is what memguard does, in every edition.
const restingKeys = "data keys at rest in this process's memory, between two uses: memguard's enclave (XSalsa20-Poly1305, BLAKE2b). The memory is locked as well, and nothing of it is stored"

// outsideModule is what this project, and not Go's module, makes of the module's parts.
var outsideModule = []string{
	"key derivation in counter mode (SP 800-108r1), over the module's HMAC-SHA-256",
	"the iteration of PBKDF2 (SP 800-132), over the module's HMAC-SHA-256",
	"randomness for ids, salts and data keys: the module's generator, hedged by HMAC-SHA-256 with a key of the vault",
	"AES key unwrapping of imports (SP 800-38F), over the module's AES",
	"the check of imported RSA primes",
}

// moduleOf names the cryptographic module in use.
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

// editionDetail is what the audit keeps of the edition when a vault is opened.
func editionDetail(e Edition) map[string]string {
	return map[string]string{"edition": e.String(), "module": moduleOf(e)}
}
