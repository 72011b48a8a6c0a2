// Package pkcs8 reads private keys that are imported: PKCS #8 (RFC 5208, RFC 5958) in
// DER. It is the one rule for which keys Strongroom takes; every driver and the vault
// use it.
//
// The rule is stricter than the standard library's parsers. The whole input is DER, with
// nothing after the key. Whatever a key states twice, such as the public half beside
// the private number, must agree, because a CMK is bound for good to the first key that
// it is given. The limits are those of docs/formats.md.
package pkcs8

import (
	"crypto"
	"crypto/rsa"
	"fmt"

	"github.com/emmansun/gmsm/sm2"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"strongroom.example/driver"
)

// An Error says why a private key is not taken. It names no part of the key that is
// secret.
type Error struct {
	// Fault says what is wrong with the key.
	Fault string
	// Remedy says what the owner of the key can do; it may be empty.
	Remedy string
}

// Error returns the fault and the remedy.
func (e *Error) Error() string {
	if e.Remedy == "" {
		return e.Fault
	}
	return e.Fault + "; " + e.Remedy
}

func refuse(remedy, format string, args ...any) error {
	return &Error{Fault: fmt.Sprintf(format, args...), Remedy: remedy}
}

// contradicts refuses a key that states one thing twice, differently.
func contradicts(format string, args ...any) error {
	return refuse("export the key again from where it was made", "the parts of the private key contradict each other: "+format, args...)
}

// malformed refuses what is not DER of the structure that it should be.
func malformed(what string) error {
	return refuse(convertDER, "the private key is not strict DER: %s", what)
}

// The remedies that several faults share. The commands take the key in the file "key"
// and write the file "key.der".
const (
	convertPEM = "convert it: openssl pkcs8 -topk8 -nocrypt -in key -outform DER -out key.der"
	convertDER = "convert it: openssl pkcs8 -topk8 -nocrypt -inform DER -in key -outform DER -out key.der"
	otherCMK   = "make a CMK of the key's spec for it, or bring another key"
	anotherKey = "it cannot be converted: bring another key"
)

// A Key is a private key that was accepted. Its private half is on the ordinary heap.
type Key struct {
	// Private is an *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey or
	// *sm2.PrivateKey.
	Private crypto.Signer
	// PSS is what an RSA key with the identifier id-RSASSA-PSS is restricted to; nil for
	// all other keys.
	PSS *PSS
}

// Wipe overwrites the numbers of the private key as far as Go gives access to them: not
// those of NIST curves, and not the copies that the parsers made.
func (k Key) Wipe() {
	switch key := k.Private.(type) {
	case *rsa.PrivateKey:
		wipeNumbers(key.D, key.Precomputed.Dp, key.Precomputed.Dq, key.Precomputed.Qinv)
		wipeNumbers(key.Primes...)
	case *sm2.PrivateKey:
		wipeNumbers(key.D)
	default:
		wipeBytes(key)
	}
}

// Parse reads the private key of a spec. The error is an *Error. The caller wipes der,
// and the key.
//
// Taken are, in DER and without a password:
//
//   - RSA of exactly the spec's length, with two distinct primes of half the length
//     that are not close together, an odd public exponent from 65537 to 2^31-1, and
//     numbers that fit each other. Of usage Sign also with the identifier
//     id-RSASSA-PSS, whose parameters are kept in Key.PSS.
//   - EC on the spec's named curve, with a private number from 2 to n-2. The public half
//     may be there, uncompressed, compressed or hybrid.
//   - Ed25519, with or without its public half (RFC 8410).
//   - SM2 on sm2p256v1, under the identifier of EC keys or of SM2, with a private number
//     from 2 to n-2.
func Parse(spec driver.KeySpec, der []byte) (Key, error) {
	o, err := parseOuter(der)
	if err != nil {
		if known := identify(der); known != nil {
			return Key{}, known
		}
		return Key{}, err
	}
	switch {
	case o.is(oidRSA), o.is(oidPSS):
		return o.rsa(spec)
	case o.is(oidEC), o.is(oidSM2):
		return o.elliptic(spec)
	case o.is(oidEd25519):
		return o.ed25519(spec)
	}
	return Key{}, o.unknown(spec)
}

// An outer is the OneAsymmetricKey of RFC 5958, of which PKCS #8 is version 1.
type outer struct {
	algorithm  cryptobyte.String // the object identifier, without its tag
	parameters cryptobyte.String // the parameters as they are; nil if absent
	key        cryptobyte.String
	public     []byte // nil if absent
}

func (o outer) is(oid string) bool { return string(o.algorithm) == oid }

// The tags of the optional parts: [0], and [1] primitive and constructed.
const (
	tagAttributes  asn1.Tag = 0xa0
	tagPublic      asn1.Tag = 0x81
	tagPublicOuter asn1.Tag = 0xa1
)

// parseOuter reads the outer structure, exactly.
func parseOuter(der []byte) (o outer, err error) {
	input, inner, algorithm := cryptobyte.String(der), cryptobyte.String(nil), cryptobyte.String(nil)
	if !input.ReadASN1(&inner, asn1.SEQUENCE) {
		return o, malformed("there is no SEQUENCE, or it is cut off")
	}
	var version int
	if !inner.ReadASN1Integer(&version) || !inner.ReadASN1(&algorithm, asn1.SEQUENCE) ||
		!algorithm.ReadASN1(&o.algorithm, asn1.OBJECT_IDENTIFIER) || !inner.ReadASN1(&o.key, asn1.OCTET_STRING) {
		return o, malformed("it is not PKCS #8")
	}
	if version != 0 && version != 1 {
		return o, malformed("the version is neither 0 nor 1")
	}
	if !algorithm.Empty() {
		var tag asn1.Tag
		if !algorithm.ReadAnyASN1Element(&o.parameters, &tag) || !algorithm.Empty() {
			return o, malformed("the algorithm identifier has parts too many")
		}
	}
	if err := o.optional(inner, version); err != nil {
		return o, err
	}
	if n := len(input); n > 0 {
		return o, refuse("cut it off", "%s the private key", follow(n))
	}
	return o, nil
}

func follow(n int) string {
	if n == 1 {
		return "1 byte follows"
	}
	return fmt.Sprintf("%d bytes follow", n)
}

// optional reads the attributes, which are not looked at, and the public half.
func (o *outer) optional(rest cryptobyte.String, version int) error {
	var attributes cryptobyte.String
	if rest.PeekASN1Tag(tagAttributes) && !rest.ReadASN1(&attributes, tagAttributes) {
		return malformed("attributes")
	}
	var public cryptobyte.String
	switch {
	case rest.PeekASN1Tag(tagPublic): // RFC 5958: an implicit tag
		if !rest.ReadASN1(&public, tagPublic) || len(public) == 0 || public[0] != 0 {
			return malformed("public half")
		}
		o.public = public[1:]
	case rest.PeekASN1Tag(tagPublicOuter): // some encoders make it explicit
		if !rest.ReadASN1(&public, tagPublicOuter) || !public.ReadASN1BitStringAsBytes(&o.public) || !public.Empty() {
			return malformed("public half")
		}
	}
	if o.public != nil && version == 0 {
		return malformed("a public half goes with version 1, and the version is 0")
	}
	if !rest.Empty() {
		return malformed("there are parts too many")
	}
	return nil
}

// absentOrNull reports whether the algorithm has no parameters.
func (o outer) absentOrNull() bool {
	return len(o.parameters) == 0 || string(o.parameters) == "\x05\x00"
}
