// Package pkcs8 parses imported private keys: PKCS #8 (RFC 5208, RFC 5958) in DER. It is
// the single definition of which keys Strongroom accepts; every driver and the vault use
// it.
//
// The rules are stricter than those of the standard library's parsers. The whole input
// must be DER, without trailing data. Values that a key states twice, such as the public
// key beside the private number, must agree, because a CMK is bound permanently to the
// first key that it is given. The limits are those of docs/formats.md.
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

// An Error reports why a private key is rejected. It contains no secret part of the key.
type Error struct {
	// Fault is the fault of the key.
	Fault string
	// Remedy is a remedy for the owner of the key; it may be empty.
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

// contradicts returns the error for a key that states one value twice, differently.
func contradicts(format string, args ...any) error {
	return refuse("export the key again from where it was made", "the parts of the private key contradict each other: "+format, args...)
}

// malformed returns the error for input that is not DER of the expected structure.
func malformed(what string) error {
	return refuse(convertDER, "the private key is not strict DER: %s", what)
}

// The remedies that several faults share. The commands read the key from the file "key"
// and write the file "key.der".
const (
	convertPEM = "convert it: openssl pkcs8 -topk8 -nocrypt -in key -outform DER -out key.der"
	convertDER = "convert it: openssl pkcs8 -topk8 -nocrypt -inform DER -in key -outform DER -out key.der"
	otherCMK   = "make a CMK of the key's spec for it, or bring another key"
	anotherKey = "it cannot be converted: bring another key"
)

// A Key is an accepted private key. Its private half is on the ordinary heap.
type Key struct {
	// Private is an *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey or
	// *sm2.PrivateKey.
	Private crypto.Signer
	// PSS is the restriction of an RSA key with the identifier id-RSASSA-PSS; nil for all
	// other keys.
	PSS *PSS
}

// Wipe overwrites the numbers of the private key as far as Go gives access to them. It
// does not reach the numbers of keys on NIST curves, nor the copies that the parsers
// made.
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

// Parse parses a private key for a spec. The error is an *Error. The caller wipes der and
// the key.
//
// Parse accepts, in DER and without a password:
//
//   - RSA of exactly the spec's length, with two distinct primes of half the length that
//     are not close together, an odd public exponent from 65537 to 2^31-1, and consistent
//     numbers. For usage Sign also with the identifier id-RSASSA-PSS, whose parameters
//     Parse returns in Key.PSS.
//   - EC on the spec's named curve, with a private number from 2 to n-2. The public key
//     may be present, uncompressed, compressed or hybrid.
//   - Ed25519, with or without its public key (RFC 8410).
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

// An outer is the OneAsymmetricKey of RFC 5958, whose version 1 is PKCS #8.
type outer struct {
	algorithm  cryptobyte.String // the object identifier, without its tag
	parameters cryptobyte.String // the encoded parameters; nil if absent
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

// parseOuter parses the outer structure, without trailing data.
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

// optional parses the attributes, which are ignored, and the public key.
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
	case rest.PeekASN1Tag(tagPublicOuter): // some encoders use an explicit tag
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
