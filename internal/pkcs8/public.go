package pkcs8

import (
	"crypto"
	"crypto/x509"

	"github.com/emmansun/gmsm/smx509"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// ParsePublic parses a public key as X.509 SubjectPublicKeyInfo in DER (RFC 5280). It
// accepts the public key of every key that Parse accepts, also under the identifier
// id-RSASSA-PSS, whose parameters it ignores.
func ParsePublic(der []byte) (crypto.PublicKey, error) {
	input := cryptobyte.String(der)
	var inner, algorithm, oid cryptobyte.String
	var bits []byte
	if !input.ReadASN1(&inner, asn1.SEQUENCE) || !input.Empty() || !inner.ReadASN1(&algorithm, asn1.SEQUENCE) ||
		!algorithm.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) || !inner.ReadASN1BitStringAsBytes(&bits) || !inner.Empty() {
		return nil, malformed("it is not SubjectPublicKeyInfo")
	}
	if string(oid) == oidPSS {
		return x509.ParsePKCS1PublicKey(bits)
	}
	return smx509.ParsePKIXPublicKey(der)
}
