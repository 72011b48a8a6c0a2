package pkcs8

import (
	"crypto"
	"crypto/x509"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"strongroom.example/driver"
	"strongroom.example/internal/keyder"
)

// A Public is the public half of a private key.
type Public struct {
	Key crypto.PublicKey
	// pss has the parameters of the identifier id-RSASSA-PSS; it is nil for other keys.
	pss *cryptobyte.String
}

// PSS returns the restriction of an RSA key with the identifier id-RSASSA-PSS, or nil for
// all other keys. The error is that of Parse for a private key of that restriction.
func (p Public) PSS(spec driver.KeySpec) (*PSS, error) {
	if p.pss == nil {
		return nil, nil
	}
	return restriction(spec, *p.pss)
}

// ParsePublic parses a public key as X.509 SubjectPublicKeyInfo in DER (RFC 5280). It
// accepts the public key of every key that Parse accepts, also under the identifier
// id-RSASSA-PSS, whose parameters PSS parses.
func ParsePublic(der []byte) (p Public, err error) {
	input := cryptobyte.String(der)
	var inner, algorithm, oid cryptobyte.String
	var bits []byte
	if !input.ReadASN1(&inner, asn1.SEQUENCE) || !input.Empty() || !inner.ReadASN1(&algorithm, asn1.SEQUENCE) ||
		!algorithm.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) || !inner.ReadASN1BitStringAsBytes(&bits) || !inner.Empty() {
		return Public{}, malformed("it is not SubjectPublicKeyInfo")
	}
	if string(oid) == oidPSS {
		p.pss = &algorithm
		p.Key, err = x509.ParsePKCS1PublicKey(bits)
		return p, err
	}
	p.Key, err = keyder.ParsePublic(der)
	return p, err
}
