package vault

import (
	"crypto/fips140"
	"fmt"

	"strongroom.example/internal/selftest"
	"strongroom.example/internal/suite"
)

// minFIPSKey is the length of the shortest key in the FIPS edition in bytes: 112 bits of
// strength (SP 800-131A).
const minFIPSKey = 14

// exclusion is one algorithm that an edition does not allow.
type exclusion struct {
	edition Edition
	alg     string
	why     string
}

// exclusions lists the algorithms that the editions do not allow, even if the driver
// supports them. The names are those of key specs, encryption algorithms and import
// wrapping algorithms. Signatures with RSA PKCS #1 v1.5 and Ed25519 are approved (FIPS
// 186-5).
var exclusions = []exclusion{
	{FIPS, string(SM2), "the algorithms of GM/T are not approved"},
	{FIPS, string(HMACSM3), "the algorithms of GM/T are not approved"},
	{FIPS, "SM2_C1C3C2_ASN1", "the algorithms of GM/T are not approved"},
	{FIPS, "RSAES_PKCS1_V1_5", "encryption padded after PKCS #1 v1.5 is not approved (SP 800-131A)"},
	{FIPS, "RSAES_OAEP_SHA_1", "SHA-1 is no part of Go's FIPS 140-3 module; use RSAES_OAEP_SHA_256"},
}

// excluded returns ErrUnsupported if the edition does not allow alg: a key spec, an
// encryption algorithm or a wrapping algorithm.
func excluded[A ~string](e Edition, alg A) error {
	for _, x := range exclusions {
		if x.edition == e && x.alg == string(alg) {
			return fmt.Errorf("%w: %s is not for the %v edition: %s", ErrUnsupported, x.alg, e, x.why)
		}
	}
	return nil
}

// excludedSize is like excluded, for the length of a symmetric key in bytes.
func excludedSize(e Edition, n int) error {
	if e == FIPS && n < minFIPSKey {
		return fmt.Errorf("%w: a key of %d bytes is not for the FIPS edition: the least is %d, which is 112 bits", ErrUnsupported, n, minFIPSKey)
	}
	return nil
}

// checkProcess returns ErrUnsupported if this process cannot use the edition, and
// ErrSelfTest if the edition's primitives compute wrong results.
func checkProcess(e Edition) error {
	switch {
	case e == FIPS && !fips140.Enabled():
		return fmt.Errorf("%w: the FIPS edition needs Go's FIPS 140-3 module, which is off in this process; run it with GODEBUG=fips140=on (or only), or build it with GOFIPS140=latest (or a version of the module)", ErrUnsupported)
	case !suiteOf(e).Usable():
		return fmt.Errorf("%w: this process enforces FIPS 140 (GODEBUG=fips140=only), which refuses the algorithms of the %v edition", ErrUnsupported, e)
	}
	return selftest.Edition(e)
}

// suiteOf returns the algorithm suite of an edition.
func suiteOf(e Edition) suite.ID {
	if e == SM {
		return suite.SM
	}
	return suite.AES
}
