// Package editionrules has what an edition of a vault allows, and by which modules it
// computes.
package editionrules

import (
	"crypto/fips140"
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/internal/selftest"
	"strongroom.example/internal/suite"
	"strongroom.example/vault/internal/fault"
)

// minFIPSKey is the length of the shortest key in the FIPS edition in bytes: 112 bits of
// strength (SP 800-131A).
const minFIPSKey = 14

// exclusion is one algorithm that an edition does not allow.
type exclusion struct {
	edition driver.Edition
	alg     string
	why     string
}

// exclusions lists the algorithms that the editions do not allow, even if the driver
// supports them. The names are those of key specs, encryption algorithms and import
// wrapping algorithms. Signatures with RSA PKCS #1 v1.5 and Ed25519 are approved (FIPS
// 186-5).
var exclusions = []exclusion{
	{driver.FIPS, "SM2", "the algorithms of GM/T are not approved"},
	{driver.FIPS, "HMAC_SM3", "the algorithms of GM/T are not approved"},
	{driver.FIPS, "SM2_C1C3C2_ASN1", "the algorithms of GM/T are not approved"},
	{driver.FIPS, "RSAES_PKCS1_V1_5", "encryption padded after PKCS #1 v1.5 is not approved (SP 800-131A)"},
	{driver.FIPS, "RSAES_OAEP_SHA_1", "SHA-1 is no part of Go's FIPS 140-3 module; use RSAES_OAEP_SHA_256"},
}

// Excluded returns ErrUnsupported if the edition does not allow alg: a key spec, an
// encryption algorithm or a wrapping algorithm.
func Excluded[A ~string](e driver.Edition, alg A) error {
	for _, x := range exclusions {
		if x.edition == e && x.alg == string(alg) {
			return fmt.Errorf("%w: the %[3]v edition does not allow %[2]s: %[4]s", fault.ErrUnsupported, x.alg, e, x.why)
		}
	}
	return nil
}

// ExcludedSize is like Excluded, for the length of a symmetric key in bytes.
func ExcludedSize(e driver.Edition, n int) error {
	if e == driver.FIPS && n < minFIPSKey {
		return fmt.Errorf("%w: a key of %d bytes is too short for the FIPS edition; the minimum is %d bytes (112 bits)", fault.ErrUnsupported, n, minFIPSKey)
	}
	return nil
}

// CheckProcess returns ErrUnsupported if this process cannot use the edition, and
// ErrSelfTest if the edition's primitives compute wrong results.
func CheckProcess(e driver.Edition) error {
	switch {
	case e == driver.FIPS && !fips140.Enabled():
		return fmt.Errorf("%w: the FIPS edition needs Go's FIPS 140-3 module, which is off in this process; run it with GODEBUG=fips140=on (or only), or build it with GOFIPS140=latest (or a version of the module)", fault.ErrUnsupported)
	case !SuiteOf(e).Usable():
		return fmt.Errorf("%w: this process enforces FIPS 140 (GODEBUG=fips140=only), which does not allow the algorithms of the %v edition", fault.ErrUnsupported, e)
	}
	return selftest.Edition(e)
}

// SuiteOf returns the algorithm suite of an edition.
func SuiteOf(e driver.Edition) suite.ID {
	if e == driver.SM {
		return suite.SM
	}
	return suite.AES
}

// Refused lists the algorithms that the edition does not allow.
func Refused(e driver.Edition) (names []string) {
	for _, x := range exclusions {
		if x.edition == e {
			names = append(names, x.alg)
		}
	}
	switch e {
	case driver.FIPS:
		return append(names, "Argon2id", "keys below 112 bits")
	case driver.SM:
		return append(names, "Argon2id")
	}
	return names
}

// OutsideModule lists what this project implements itself with the primitives of Go's
// module. It is empty for an edition that does not need the module.
func OutsideModule(e driver.Edition) []string {
	if e != driver.FIPS {
		return nil
	}
	return []string{
		"key derivation in counter mode (SP 800-108r1), over the module's HMAC-SHA-256",
		"the iteration of PBKDF2 (SP 800-132), over the module's HMAC-SHA-256",
		"randomness for ids, salts and data keys: the module's generator, hedged by HMAC-SHA-256 with a key of the vault",
		"AES key unwrapping of imports (SP 800-38F), over the module's AES",
		"the check of imported RSA primes",
	}
}

// dataKeysAtRest describes memguard's cryptography, which every edition uses.
const dataKeysAtRest = "data keys at rest in this process's memory, between two uses: memguard's enclave (XSalsa20-Poly1305, BLAKE2b). The memory is locked as well, and nothing of it is stored"

// NotApproved lists the computations of a vault that use algorithms outside its edition.
func NotApproved(e driver.Edition) []string {
	switch e {
	case driver.FIPS:
		return []string{dataKeysAtRest}
	case driver.SM:
		return []string{dataKeysAtRest, "CMKs of RSA, NIST curves, Ed25519 and HMAC with SHA-2, where a caller makes them: the algorithms of their spec"}
	}
	return nil
}

// ModuleOf returns the name of the cryptographic module in use.
func ModuleOf(e driver.Edition) string {
	switch {
	case e == driver.SM:
		return "uses github.com/emmansun/gmsm"
	case !fips140.Enabled():
		return "uses Go's standard library; its FIPS 140-3 module is off"
	case fips140.Enforced():
		return "uses Go's module " + fips140.Version() + " (enforced)"
	}
	return "uses Go's module " + fips140.Version() + " (in use)"
}

// Detail returns what the audit log records of the edition when a vault is opened.
func Detail(e driver.Edition) map[string]string {
	return map[string]string{"edition": e.String(), "module": ModuleOf(e)}
}
