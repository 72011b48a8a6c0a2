package vault

import (
	"crypto/fips140"
	"fmt"

	"strongroom.example/internal/suite"
)

// minFIPSKey is the shortest key of the FIPS edition in bytes: 112 bits of strength
// (SP 800-131A).
const minFIPSKey = 14

// exclusion is one algorithm that an edition does without.
type exclusion struct {
	edition Edition
	alg     string
	why     string
}

// exclusions is what the editions refuse, beyond what a driver lacks. The names are
// those of key specs, of encryption algorithms and of the wrapping of imports.
// Signatures by RSA PKCS #1 v1.5 and Ed25519 are approved (FIPS 186-5) and stay.
var exclusions = []exclusion{
	{FIPS, string(SM2), "the algorithms of GM/T are not approved"},
	{FIPS, string(HMACSM3), "the algorithms of GM/T are not approved"},
	{FIPS, "SM2_C1C3C2_ASN1", "the algorithms of GM/T are not approved"},
	{FIPS, "RSAES_PKCS1_V1_5", "encryption padded after PKCS #1 v1.5 is not approved (SP 800-131A)"},
	{FIPS, "RSAES_OAEP_SHA_1", "SHA-1 is no part of Go's FIPS 140-3 module; use RSAES_OAEP_SHA_256"},
}

// excluded answers ErrUnsupported for an algorithm that the edition does without: a
// key spec, an encryption algorithm or a way to wrap an import.
func excluded[A ~string](e Edition, alg A) error {
	for _, x := range exclusions {
		if x.edition == e && x.alg == string(alg) {
			return fmt.Errorf("%w: %s is not for the %v edition: %s", ErrUnsupported, x.alg, e, x.why)
		}
	}
	return nil
}

// excludedSize is excluded for the length of a symmetric key in bytes.
func excludedSize(e Edition, n int) error {
	if e == FIPS && n < minFIPSKey {
		return fmt.Errorf("%w: a key of %d bytes is not for the FIPS edition: the least is %d, which is 112 bits", ErrUnsupported, n, minFIPSKey)
	}
	return nil
}

// checkProcess answers ErrUnsupported for an edition that this process cannot have.
func checkProcess(e Edition) error {
	switch {
	case e == FIPS && !fips140.Enabled():
		return fmt.Errorf("%w: the FIPS edition needs Go's FIPS 140-3 module, which is off in this process; run it with GODEBUG=fips140=on (or only), or build it with GOFIPS140=latest (or a version of the module)", ErrUnsupported)
	case !suiteOf(e).Usable():
		return fmt.Errorf("%w: this process enforces FIPS 140 (GODEBUG=fips140=only), which refuses the algorithms of the %v edition", ErrUnsupported, e)
	}
	return nil
}

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
	// outside Go's module. Only for the FIPS edition.
	OutsideModule []string
	// NotApproved lists what this vault does compute by other algorithms than those
	// of its edition, and what for.
	NotApproved []string
}

// EditionReport says what the vault's edition comes to in this process.
func (v *Vault) EditionReport() EditionReport { return reportEdition(v.cfg.Edition) }

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
		r.NotApproved = append(r.NotApproved, restingKeys, "keys in a device: the algorithms of the device, and the state of its own module")
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
	"randomness for ids, salts and data keys: the module's generator, hedged by HMAC-SHA-256 with a key of the vault",
	"AES key unwrapping of imports (SP 800-38F), over the module's AES",
	"the check of imported RSA primes",
	"the tree of the audit log, over the module's SHA-256",
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

// suiteOf returns the algorithms of an edition.
func suiteOf(e Edition) suite.ID {
	if e == SM {
		return suite.SM
	}
	return suite.AES
}
