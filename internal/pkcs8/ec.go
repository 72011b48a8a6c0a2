package pkcs8

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/asn1"
	"math/big"

	"github.com/emmansun/gmsm/sm2"
	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"strongroom.example/driver"
	"strongroom.example/internal/keyder"
	"strongroom.example/internal/suite"
)

// curveOf returns the named curve of an algorithm, or nil.
func curveOf(alg driver.KeyAlgorithm) elliptic.Curve {
	if alg == driver.SM2 {
		return sm2.P256()
	}
	return alg.Curve()
}

// curveOID returns the bytes of the identifier of an algorithm's curve, or "".
func curveOID(alg driver.KeyAlgorithm) string {
	switch alg {
	case driver.ECP256:
		return oidP256
	case driver.ECP384:
		return oidP384
	case driver.ECP521:
		return oidP521
	case driver.SM2:
		return oidSM2
	}
	return ""
}

// elliptic parses a key on a curve (RFC 5915 and, for SM2, GM/T 0010 under either
// identifier).
func (o outer) elliptic(spec driver.KeySpec) (Key, error) {
	alg := spec.Algorithm
	if err := o.checkCurve(alg); err != nil {
		return Key{}, err
	}
	number, inner, err := parseSEC1(o.key, alg)
	if err != nil {
		return Key{}, err
	}
	private, point, err := fromNumber(alg, number)
	if err != nil {
		return Key{}, err
	}
	for _, public := range [][]byte{o.public, inner} {
		if public != nil && !isPoint(public, point) {
			return Key{}, contradicts("the public half is not that of the private number")
		}
	}
	return Key{Private: private}, nil
}

// checkCurve rejects a curve that is not the algorithm's.
func (o outer) checkCurve(alg driver.KeyAlgorithm) error {
	parameters, want := o.parameters, curveOID(alg)
	var named cryptobyte.String
	switch {
	case want == "":
		return refuse(otherCMK, "the private key is on an elliptic curve, the CMK takes %s", alg)
	case o.is(oidSM2) && o.absentOrNull():
		named = cryptobyte.String(oidSM2)
	case parameters.PeekASN1Tag(cryptobyteasn1.SEQUENCE):
		return refuse("name the curve: openssl pkey -inform DER -in key -ec_param_enc named_curve -out named; then openssl pkcs8 -topk8 -nocrypt -in named -outform DER -out key.der",
			"the private key has explicit curve parameters; CMKs take named curves")
	case !parameters.ReadASN1(&named, cryptobyteasn1.OBJECT_IDENTIFIER) || !parameters.Empty():
		return malformed("the curve is not named")
	}
	if o.is(oidSM2) && string(named) != oidSM2 {
		return contradicts("the algorithm is SM2 and the curve another")
	}
	if string(named) != want {
		return refuse(otherCMK, "the private key is on curve %s, the CMK takes %s", curveName(named), alg)
	}
	return nil
}

// parseSEC1 parses an ECPrivateKey (RFC 5915) and returns the private number and the
// public key, which is nil if absent. A curve in it must be the one in the outer
// structure.
func parseSEC1(der cryptobyte.String, alg driver.KeyAlgorithm) (number, public []byte, err error) {
	var inner, part, named cryptobyte.String
	var there bool
	var version int
	if !der.ReadASN1(&inner, cryptobyteasn1.SEQUENCE) || !der.Empty() || !inner.ReadASN1Integer(&version) || version != 1 ||
		!inner.ReadASN1Bytes(&number, cryptobyteasn1.OCTET_STRING) {
		return nil, nil, malformed("the EC key inside is not that of RFC 5915, or something follows it")
	}
	tag := func(n uint8) cryptobyteasn1.Tag { return cryptobyteasn1.Tag(n).ContextSpecific().Constructed() }
	if !inner.ReadOptionalASN1(&part, &there, tag(0)) {
		return nil, nil, malformed("the curve of the EC key inside")
	}
	if there && (!part.ReadASN1(&named, cryptobyteasn1.OBJECT_IDENTIFIER) || !part.Empty() || string(named) != curveOID(alg)) {
		return nil, nil, contradicts("the curve inside is not the one outside")
	}
	if !inner.ReadOptionalASN1(&part, &there, tag(1)) {
		return nil, nil, malformed("the public half of the EC key inside")
	}
	if there && (!part.ReadASN1BitStringAsBytes(&public) || !part.Empty()) {
		return nil, nil, malformed("the public half of the EC key inside")
	}
	if !inner.Empty() {
		return nil, nil, malformed("the EC key inside has parts too many")
	}
	return number, public, nil
}

// fromNumber returns the private key of a number, and its public point 4 ‖ x ‖ y. It
// accepts numbers whose encoder omitted leading zeros, or added some.
func fromNumber(alg driver.KeyAlgorithm, number []byte) (private crypto.Signer, point []byte, err error) {
	curve := curveOf(alg)
	size := (curve.Params().N.BitLen() + 7) / 8
	trimmed := bytes.TrimLeft(number, "\x00")
	if len(trimmed) > size {
		return nil, nil, refuse(anotherKey, "the private number is not from 2 to n-2")
	}
	padded := make([]byte, size)
	defer suite.Wipe(padded)
	copy(padded[size-len(trimmed):], trimmed)
	var public *ecdsa.PublicKey
	if alg == driver.SM2 {
		var key *sm2.PrivateKey
		if key, err = sm2.NewPrivateKey(padded); err == nil {
			private, public = key, &key.PublicKey
		}
	} else {
		var key *ecdsa.PrivateKey
		if key, err = ecdsa.ParseRawPrivateKey(curve, padded); err == nil {
			private, public = key, &key.PublicKey
		}
	}
	if err != nil || isGenerator(public) {
		return nil, nil, refuse(anotherKey, "the private number is not from 2 to n-2")
	}
	return private, pointOf(public), nil
}

// isGenerator reports whether the private number is 1 or n-1, which the public key
// discloses, or whether the public key is not a valid point.
func isGenerator(key *ecdsa.PublicKey) bool {
	point := pointOf(key)
	if point == nil {
		return true
	}
	x := point[1 : 1+len(point)/2]
	return key.Params().Gx.Cmp(new(big.Int).SetBytes(x)) == 0
}

// CheckEC rejects a public key on a curve whose private number the public key discloses.
// The error is an *Error.
func CheckEC(key *ecdsa.PublicKey) error {
	if isGenerator(key) {
		return refuse(anotherKey, "the private number is not from 2 to n-2")
	}
	return nil
}

// pointOf returns 4 ‖ x ‖ y, or nil for a key that is not on its curve.
func pointOf(key *ecdsa.PublicKey) []byte {
	size := (key.Params().BitSize + 7) / 8
	der, err := keyder.MarshalPublic(key) // ends with the point, also for SM2
	if err != nil {
		return nil
	}
	return der[len(der)-1-2*size:]
}

// isPoint reports whether encoded is an encoding of point (4 ‖ x ‖ y): uncompressed,
// compressed or hybrid (SEC 1, 2.3.3; X9.62).
func isPoint(encoded, point []byte) bool {
	size := len(point) / 2
	sign := point[len(point)-1] & 1
	switch {
	case bytes.Equal(encoded, point):
		return true
	case len(encoded) == 1+size:
		return encoded[0] == 2|sign && bytes.Equal(encoded[1:], point[1:1+size])
	}
	return len(encoded) == len(point) && encoded[0] == 6|sign && bytes.Equal(encoded[1:], point[1:])
}

// ed25519 parses an Ed25519 key (RFC 8410).
func (o outer) ed25519(spec driver.KeySpec) (Key, error) {
	if spec.Algorithm != driver.Ed25519 {
		return Key{}, refuse(otherCMK, "the private key is Ed25519, the CMK takes %s", spec.Algorithm)
	}
	if len(o.parameters) != 0 {
		return Key{}, malformed("an Ed25519 key has parameters")
	}
	var seed []byte
	if inner := o.key; !inner.ReadASN1Bytes(&seed, cryptobyteasn1.OCTET_STRING) || !inner.Empty() || len(seed) != ed25519.SeedSize {
		return Key{}, malformed("an Ed25519 key has 32 bytes in an OCTET STRING")
	}
	key := ed25519.NewKeyFromSeed(seed)
	if o.public != nil && !bytes.Equal(o.public, key[ed25519.SeedSize:]) {
		suite.Wipe(key)
		return Key{}, contradicts("the public half is not that of the private one")
	}
	return Key{Private: key}, nil
}

// wipeBytes overwrites an Ed25519 key.
func wipeBytes(key any) {
	if b, ok := key.(ed25519.PrivateKey); ok {
		suite.Wipe(b)
	}
}

// wipeNumbers overwrites numbers.
func wipeNumbers(numbers ...*big.Int) {
	for _, n := range numbers {
		if n != nil {
			clear(n.Bits())
		}
	}
}

// unknown rejects an algorithm that no CMK has.
func (o outer) unknown(spec driver.KeySpec) error {
	return refuse(otherCMK, "the private key is %s, the CMK takes %s", algorithmName(o.algorithm), spec.Algorithm)
}

// dotted writes an object identifier with dots.
func dotted(oid []byte) string {
	var id asn1.ObjectIdentifier
	der := append([]byte{6, byte(len(oid))}, oid...)
	if rest, err := asn1.Unmarshal(der, &id); err != nil || len(rest) != 0 {
		return "of an unknown kind"
	}
	return id.String()
}
