// Package sm2ciphertext parses ciphertexts of SM2 encryption (GM/T 0003.4) in the only
// form that Strongroom accepts: ASN.1, C1 C3 C2 (GM/T 0009, 7.2), in DER. All drivers use
// it, so that all of them open the same ciphertexts.
package sm2ciphertext

import (
	"bytes"
	"crypto/subtle"
	"math/big"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"strongroom.example/internal/suite"
)

// FieldSize is the length in bytes of a coordinate on sm2p256v1.
const FieldSize = 32

// A Ciphertext is C1, C3 and C2.
type Ciphertext struct {
	// Point is C1 as x ‖ y.
	Point []byte
	// Hash is C3, the authentication tag. Body is C2, as long as the plaintext.
	Hash, Body []byte
}

// Parse parses a ciphertext: a SEQUENCE of the two coordinates of a point on the curve,
// an OCTET STRING of 32 bytes and one of at least one byte, without trailing data. It
// returns false for all other input, including raw forms and compressed points.
func Parse(der []byte) (c Ciphertext, ok bool) {
	var inner cryptobyte.String
	x, y := new(big.Int), new(big.Int)
	outer := cryptobyte.String(der)
	if !outer.ReadASN1(&inner, asn1.SEQUENCE) || !outer.Empty() ||
		!inner.ReadASN1Integer(x) || !inner.ReadASN1Integer(y) ||
		!inner.ReadASN1Bytes(&c.Hash, asn1.OCTET_STRING) ||
		!inner.ReadASN1Bytes(&c.Body, asn1.OCTET_STRING) || !inner.Empty() {
		return c, false
	}
	if x.Sign() < 0 || y.Sign() < 0 || x.BitLen() > 8*FieldSize || y.BitLen() > 8*FieldSize || len(c.Hash) != sm3.Size || len(c.Body) == 0 {
		return c, false
	}
	encoded := make([]byte, 1+2*FieldSize)
	encoded[0] = 4
	x.FillBytes(encoded[1 : 1+FieldSize])
	y.FillBytes(encoded[1+FieldSize:])
	c.Point = encoded[1:]
	_, err := sm2.NewPublicKey(encoded)
	return c, err == nil
}

// Open appends the plaintext to dst if C3 is correct. shared is x ‖ y of the private
// number times C1; the caller wipes it.
func (c Ciphertext) Open(dst, shared []byte) ([]byte, bool) {
	mask := sm3.Kdf(shared, len(c.Body))
	defer suite.Wipe(mask)
	if bytes.Count(mask, []byte{0}) == len(mask) {
		return nil, false
	}
	subtle.XORBytes(mask, mask, c.Body)
	h := suite.SM.Hash(shared[:FieldSize], mask, shared[FieldSize:])
	if subtle.ConstantTimeCompare(h[:], c.Hash) != 1 {
		return nil, false
	}
	return append(dst, mask...), true
}
