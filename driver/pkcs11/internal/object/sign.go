//go:build cgo && unix

package object

import (
	"errors"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

// HMAC writes the HMAC of input to out, which has its length.
func (o *Object) HMAC(s Session, out, input []byte) (int, error) {
	n, err := o.operate(s, cryptoki.Call{Op: cryptoki.OpSign, Mechanism: hmacs[o.Shape.Spec.Algorithm].mechanism, In: input, Out: out})
	if err == nil && n != len(out) {
		return 0, cryptoki.Fault("C_Sign", driver.Unknown, errResult)
	}
	return n, err
}

// SignatureSize returns the length of a signature in the token's encoding.
func SignatureSize(sh Shape) int {
	switch sh.Kind {
	case p11.CKK_RSA:
		return int(sh.Size) / 8
	case p11.CKK_EC:
		return 2 * ((sh.Spec.Algorithm.Curve().Params().BitSize + 7) / 8)
	}
	return 64
}

var errResult = errors.New("the token's result has a wrong length")

const (
	maxPair       = 132 // r ‖ s of P-521
	maxDigestInfo = 19 + 64
)

// Sign returns a signature in the encoding that driver.Signer requires.
func (o *Object) Sign(s Session, alg driver.SignAlg, input []byte) ([]byte, error) {
	if o.Shape.Kind == p11.CKK_EC {
		var pair [maxPair]byte
		a := cryptoki.Call{Op: cryptoki.OpSign, Mechanism: p11.CKM_ECDSA, In: input, Out: pair[:SignatureSize(o.Shape)]}
		if err := o.fill(s, a); err != nil {
			return nil, err
		}
		return pairDER(a.Out), nil
	}
	var info [maxDigestInfo]byte
	signature := make([]byte, SignatureSize(o.Shape))
	a := cryptoki.Call{Op: cryptoki.OpSign, In: input, Out: signature}
	switch {
	case alg.IsPSS():
		a.Mechanism, a.Parameter = p11.CKM_RSA_PKCS_PSS, pssParameters(alg)
	case alg == driver.EdDSAEd25519:
		a.Mechanism = ckmEdDSA
	default:
		a.Mechanism, a.In = p11.CKM_RSA_PKCS, append(appendDigestInfo(info[:0], alg), input...)
	}
	if err := o.fill(s, a); err != nil {
		return nil, err
	}
	return signature, nil
}

// pssParameters returns the fields of CK_RSA_PKCS_PSS_PARAMS: hash, mask generation
// function and salt length.
func pssParameters(alg driver.SignAlg) []uint {
	switch alg {
	case driver.RSAPSSSHA384:
		return []uint{p11.CKM_SHA384, p11.CKG_MGF1_SHA384, 48}
	case driver.RSAPSSSHA512:
		return []uint{p11.CKM_SHA512, p11.CKG_MGF1_SHA512, 64}
	}
	return []uint{p11.CKM_SHA256, p11.CKG_MGF1_SHA256, 32}
}

// fill is operate for a result that must fill its buffer.
func (o *Object) fill(s Session, a cryptoki.Call) error {
	n, err := o.operate(s, a)
	if err == nil && n != len(a.Out) {
		return cryptoki.Fault("C_Sign", driver.Unknown, errResult)
	}
	return err
}

// appendDigestInfo appends the DER prefix of a digest in PKCS #1 v1.5 (RFC 8017, section
// 9.2, note 1). The prefixes of the hashes differ in one byte of the identifier and in
// the lengths.
func appendDigestInfo(b []byte, alg driver.SignAlg) []byte {
	n, last := byte(alg.DigestSize()), byte(1)
	switch alg {
	case driver.RSAPKCS1SHA384:
		last = 2
	case driver.RSAPKCS1SHA512:
		last = 3
	}
	return append(b, 0x30, 0x11+n, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last, 0x05, 0x00, 0x04, n)
}

// pairDER encodes r ‖ s as an ASN.1 SEQUENCE of two INTEGERs (RFC 3279, section 2.2.3). It
// allocates the result only, where package cryptobyte allocates ten times. Signatures are
// shorter than 256 bytes on all curves here, so two length bytes are enough.
func pairDER(pair []byte) []byte {
	const head = 3
	half := len(pair) / 2
	der := make([]byte, head, head+len(pair)+6)
	der = appendInteger(appendInteger(der, pair[:half]), pair[half:])
	n := byte(len(der) - head)
	if n < 128 {
		der[1], der[2] = 0x30, n
		return der[1:]
	}
	der[0], der[1], der[2] = 0x30, 0x81, n
	return der
}

// appendInteger appends an ASN.1 INTEGER, given in big-endian bytes.
func appendInteger(der, number []byte) []byte {
	for len(number) > 1 && number[0] == 0 {
		number = number[1:]
	}
	if number[0]&0x80 != 0 {
		der = append(der, 2, byte(len(number)+1), 0)
	} else {
		der = append(der, 2, byte(len(number)))
	}
	return append(der, number...)
}
