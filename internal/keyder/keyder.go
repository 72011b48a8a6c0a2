// Package keyder encodes and parses keys in DER, as package crypto/x509 does, and those of SM2
// as well. The package smx509 of gmsm would link SM9 and the post-quantum algorithms into every
// program, which no CMK has.
package keyder

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"

	"github.com/emmansun/gmsm/sm2"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"strongroom.example/internal/suite"
)

// The object identifiers of keys on the curve of SM2, as the content bytes of their DER. The
// algorithm of a key is either.
const (
	oidEC  = "\x2a\x86\x48\xce\x3d\x02\x01"     // 1.2.840.10045.2.1, RFC 5480
	oidSM2 = "\x2a\x81\x1c\xcf\x55\x01\x82\x2d" // 1.2.156.10197.1.301, GM/T 0006
)

// errSM2 reports an SM2 key that is malformed. It quotes nothing of the input.
var errSM2 = errors.New("keyder: malformed SM2 key")

// ParsePublic parses a public key as X.509 SubjectPublicKeyInfo (RFC 5280). It returns an
// *ecdsa.PublicKey on the curve of SM2 for a key of GM/T 0010, and otherwise what
// x509.ParsePKIXPublicKey returns.
func ParsePublic(der []byte) (crypto.PublicKey, error) {
	input := cryptobyte.String(der)
	var inner cryptobyte.String
	var point []byte
	if !input.ReadASN1(&inner, asn1.SEQUENCE) || !readSM2(&inner) {
		return x509.ParsePKIXPublicKey(der)
	}
	if !inner.ReadASN1BitStringAsBytes(&point) || !inner.Empty() || !input.Empty() {
		return nil, errSM2
	}
	return sm2.NewPublicKey(point)
}

// readSM2 reads an AlgorithmIdentifier, and reports whether it is that of an SM2 key.
func readSM2(s *cryptobyte.String) bool {
	var algorithm, oid, curve cryptobyte.String
	return s.ReadASN1(&algorithm, asn1.SEQUENCE) &&
		algorithm.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) && (string(oid) == oidEC || string(oid) == oidSM2) &&
		algorithm.ReadASN1(&curve, asn1.OBJECT_IDENTIFIER) && string(curve) == oidSM2 && algorithm.Empty()
}

// MarshalPublic is the inverse of ParsePublic.
func MarshalPublic(key crypto.PublicKey) ([]byte, error) {
	public, ok := key.(*ecdsa.PublicKey)
	if !ok || !sm2.IsSM2PublicKey(public) {
		return x509.MarshalPKIXPublicKey(key)
	}
	point, err := sm2.PublicKeyToECDH(public)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addSM2(b)
		b.AddASN1BitString(point.Bytes())
	})
	return b.Bytes()
}

// addSM2 adds the AlgorithmIdentifier of an SM2 key.
func addSM2(b *cryptobyte.Builder) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, oid := range []string{oidEC, oidSM2} {
			b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(oid)) })
		}
	})
}

// ParsePrivate parses a private key that MarshalPrivate wrote: PKCS #8 (RFC 5208). It returns a
// *sm2.PrivateKey for SM2, and otherwise what x509.ParsePKCS8PrivateKey returns. Keys of other
// origins are parsed by package pkcs8 instead.
func ParsePrivate(der []byte) (crypto.PrivateKey, error) {
	input := cryptobyte.String(der)
	var outer, sec1, inner cryptobyte.String
	var version, innerVersion int
	if !input.ReadASN1(&outer, asn1.SEQUENCE) || !outer.ReadASN1Integer(&version) || !readSM2(&outer) {
		return x509.ParsePKCS8PrivateKey(der)
	}
	var number []byte
	if !outer.ReadASN1(&sec1, asn1.OCTET_STRING) || !outer.Empty() || !input.Empty() || version != 0 ||
		!sec1.ReadASN1(&inner, asn1.SEQUENCE) || !sec1.Empty() || !inner.ReadASN1Integer(&innerVersion) || innerVersion != 1 ||
		!inner.ReadASN1Bytes(&number, asn1.OCTET_STRING) {
		return nil, errSM2
	}
	return sm2.NewPrivateKey(number) // copies it
}

// maxSM2 is more than the length of an encoded private key of SM2.
const maxSM2 = 256

// MarshalPrivate encodes a private key as PKCS #8. The caller wipes it.
func MarshalPrivate(key crypto.PrivateKey) ([]byte, error) {
	private, ok := key.(*sm2.PrivateKey)
	if !ok {
		return x509.MarshalPKCS8PrivateKey(key)
	}
	half, err := private.ECDH()
	if err != nil {
		return nil, err
	}
	number := half.Bytes()
	defer suite.Wipe(number)
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, maxSM2)) // leaves no copies where it grew
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		addSM2(b)
		b.AddASN1(asn1.OCTET_STRING, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { // RFC 5915
				b.AddASN1Int64(1)
				b.AddASN1OctetString(number)
				b.AddASN1(asn1.Tag(1).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
					b.AddASN1BitString(half.PublicKey().Bytes())
				})
			})
		})
	})
	return b.Bytes()
}
